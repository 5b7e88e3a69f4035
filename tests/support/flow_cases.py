"""One task for every Instagram flow, and what must then be in the database and at the broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.credentials import token_owners
from tests.sandbox.expected_parts import has_story_insights, recent_own_posts
from tests.sandbox.lists import comment, followers_of, following_of, likers_of, posts_with, tagged_posts
from tests.sandbox.posts import DAY, Media, Post, highlights_of, posts_of, reels_of, stories_of
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind, Trait, Universe

POST, PROFILE = "post_log_events", "profile_log_events"
RELATION, ACTIVITY = "profile_relationship_log_events", "post_activity_log_events"
SENTIMENT, TASK = "sentiment_log_events", "scrape_request_log_events"


@dataclass(frozen=True)
class FlowCase:
    """A task; ``rows``: a query and the value that it must give; ``event``: a routing key and a part of a message."""

    flow: str
    params: Mapping[str, Any]
    rows: tuple[str, Any]
    event: tuple[str, Mapping[str, Any]]


@dataclass
class Cast:
    """Hands out creators that nothing else is done to."""

    universe: Universe
    _taken: set[int] = field(default_factory=set)

    def one(self, fits: Any = bool) -> Creator:
        """The next plain open account that fits."""
        connected = {who.index for who in token_owners(self.universe)}
        for index in range(self.universe.size):
            who = self.universe.creator(index)
            plain = who.kind in OPEN_KINDS - {Kind.RENAMED} and who.trait is Trait.PLAIN
            if plain and index not in self._taken | connected and fits(who):
                self._taken.add(index)
                return who
        raise AssertionError("the universe is too small")

    def post(self, fits: Any = bool) -> Post:
        """The newest own post of such an account that fits."""

        def found(who: Creator) -> Post | None:
            posts = posts_of(self.universe, who)
            return next((post for post in posts if post.owner == who.index and post.comments and fits(post)), None)

        post = found(self.one(lambda who: found(who) is not None))
        assert post is not None
        return post


def account(who: Creator) -> tuple[str, Any]:
    """The account is stored with its true number of followers."""
    return f"select followers from instagram_account where profile_id = '{who.pk}'", who.followers


def stored_post(shortcode: str, column: str, value: Any) -> tuple[str, Any]:
    """A column of a stored post."""
    return f"select {column} from instagram_post where shortcode = '{shortcode}'", value


def profile_said(who: Creator) -> tuple[str, Mapping[str, Any]]:
    """The account was announced."""
    return PROFILE, {"profile_id": str(who.pk), "handle": who.handle}


def cases(universe: Universe) -> list[FlowCase]:
    """Every flow of Instagram that is about what its providers give; each about somebody else."""
    cast = Cast(universe)
    return [*_profiles(cast), *_lists(cast), *_relations(cast), *_activities(cast), *_owners(universe), *_stories(cast)]


def _profiles(cast: Cast) -> Iterator[FlowCase]:
    who = cast.one()
    yield FlowCase("refresh_profile_by_handle", {"handle": who.asked_handle}, account(who), profile_said(who))
    who = cast.one()
    yield FlowCase("refresh_profile_by_profile_id", {"profile_id": str(who.pk)}, account(who), profile_said(who))
    who = cast.one()
    yield FlowCase("refresh_profile_basic", {"handle": who.asked_handle}, account(who), profile_said(who))
    who = cast.one()
    params = {"profile_id": str(who.pk), "max_posts": 5}
    yield FlowCase("refresh_profile_custom", params, account(who), profile_said(who))
    post = cast.post()
    said = POST, {"shortcode": post.shortcode}
    rows = stored_post(post.shortcode, "comments", post.comments)
    yield FlowCase("refresh_post_by_shortcode", {"shortcode": post.shortcode}, rows, said)
    post = cast.post()
    rows, said = stored_post(post.shortcode, "comments", post.comments), (POST, {"shortcode": post.shortcode})
    yield FlowCase("refresh_post_by_post_id", {"post_id": str(post.pk)}, rows, said)


def _lists(cast: Cast) -> Iterator[FlowCase]:
    universe = cast.universe
    for flow in ("refresh_tagged_posts_by_profile_id", "fetch_tagged_posts"):
        who = cast.one(lambda who: tagged_posts(universe, who))
        post = tagged_posts(universe, who)[0]
        said = POST, {"shortcode": post.shortcode, "profile_id": str(universe.creator(post.owner).pk)}
        rows = stored_post(post.shortcode, "comments", post.comments)
        yield FlowCase(flow, {"profile_id": str(who.pk), "max_posts": 50}, rows, said)
    post = posts_with(universe, "fashion")[0]
    rows, said = stored_post(post.shortcode, "caption", post.caption), (POST, {"shortcode": post.shortcode})
    yield FlowCase("fetch_hashtag_posts", {"hashtag": "fashion", "max_posts": 20}, rows, said)
    budget = "select count(*) from hashtag_budget where hashtag = 'fashion'"
    yield FlowCase("fetch_hashtag_top_posts", {"hashtag": "fashion", "max_posts": 20}, (budget, 1), (POST, {}))
    own = {"refresh_profile_posts_by_profile_id": posts_of, "refresh_reels_posts_by_profile_id": reels_of}
    for flow, listed in own.items():
        young = universe.now - 25 * DAY

        def newest(who: Creator, listed: Any = listed, young: int = young) -> Post | None:
            return next((p for p in listed(universe, who) if p.owner == who.index and p.taken_at > young), None)

        who = cast.one(newest)
        mine = newest(who)
        assert mine is not None
        rows, said = stored_post(mine.shortcode, "profile_id", str(who.pk)), (POST, {"shortcode": mine.shortcode})
        yield FlowCase(flow, {"profile_id": str(who.pk)}, rows, said)
    post = cast.post(lambda post: universe.creator(post.owner).kind is Kind.BUSINESS)
    who = universe.creator(post.owner)
    rows, said = stored_post(post.shortcode, "profile_id", str(who.pk)), (POST, {"shortcode": post.shortcode})
    yield FlowCase("refresh_profile_posts_by_handle", {"handle": who.handle, "max_posts": 60}, rows, said)


def _relations(cast: Cast) -> Iterator[FlowCase]:
    who = cast.one()
    people = followers_of(cast.universe, who)
    rows = pairs("source_profile_id", people, "target_profile_id", who), len(people)
    said = {"source_profile_id": str(people[0].pk), "target_profile_id": str(who.pk), "relationship_type": "FOLLOWS"}
    yield FlowCase("fetch_profile_followers", {"profile_id": str(who.pk)}, rows, (RELATION, said))
    who = cast.one()
    people = following_of(cast.universe, who)
    rows = pairs("target_profile_id", people, "source_profile_id", who), len(people)
    said = {"source_profile_id": str(who.pk), "target_profile_id": str(people[-1].pk), "relationship_type": "FOLLOWS"}
    yield FlowCase("fetch_profile_following", {"profile_id": str(who.pk)}, rows, (RELATION, said))
    who = cast.one()
    similar = "select count(*) > 10 from profile_relationship_log where relationship_type = 'SIMILAR'"
    rows = f"{similar} and source_profile_id = '{who.pk}'", True
    said = {"source_profile_id": str(who.pk), "relationship_type": "SIMILAR"}
    yield FlowCase("fetch_similar_profiles", {"profile_id": str(who.pk)}, rows, (RELATION, said))


def pairs(listed: str, people: list[Creator], column: str, who: Creator) -> str:
    """How many of these people are stored as followers or followed."""
    names = ", ".join(f"'{one.pk}'" for one in people)
    where = f"relationship_type = 'FOLLOWS' and {column} = '{who.pk}' and {listed} in ({names})"
    return f"select count(*) from profile_relationship_log where {where}"


def _activities(cast: Cast) -> Iterator[FlowCase]:
    universe = cast.universe
    counted = "select count(*) from post_activity_log where platform_post_id = '{}' and activity_type = '{}'"
    post = cast.post(lambda post: post.comments <= 100)
    rows = counted.format(post.shortcode, "COMMENT"), post.comments
    params: dict[str, Any] = {"shortcode": post.shortcode, "max_comments": None}
    said = {"shortcode": post.shortcode, "activity_type": "COMMENT"}
    yield FlowCase("fetch_post_comments", params, rows, (ACTIVITY, said))
    post = cast.post(lambda post: post.likes)
    rows = counted.format(post.shortcode, "LIKE"), len(likers_of(universe, post))
    said = {"shortcode": post.shortcode, "activity_type": "LIKE"}
    yield FlowCase("fetch_post_likes", {"shortcode": post.shortcode}, rows, (ACTIVITY, said))
    post = cast.post()
    parent = comment(universe, post, 0)
    params = {"shortcode": post.shortcode, "comment_id": str(parent.pk)}
    rows = counted.format(post.shortcode, "COMMENT"), 1
    yield FlowCase("fetch_post_comment_replies", params, rows, (ACTIVITY, {"shortcode": post.shortcode}))
    post = cast.post(lambda post: post.comments <= 100)
    rows = f"select count(*) from sentiment_log where platform_post_id = '{post.shortcode}'", post.comments
    said = {"shortcode": post.shortcode, "source": "beat", "comment": comment(universe, post, 0).text}
    yield FlowCase("extract_post_sentiment", {"shortcode": post.shortcode}, rows, (SENTIMENT, said))


def _owners(universe: Universe) -> Iterator[FlowCase]:
    rows: tuple[str, Any]
    owners = [who for who in token_owners(universe) if who.followers >= 100 and recent_own_posts(universe, who)]
    first, second = owners[0], owners[1]
    for flow, who in (("refresh_profile_insights", first), ("refresh_profile_audience_insights", second)):
        rows = f"select handle from instagram_profile_insights where profile_id = '{who.pk}'", who.handle
        yield FlowCase(flow, {"handle": who.handle}, rows, profile_said(who))
    post = next(post for who in owners for post in recent_own_posts(universe, who) if post.media is Media.REEL)
    who = universe.creator(post.owner)
    params = {
        "handle": who.handle, "shortcode": post.shortcode, "post_id": str(post.graph_id), "post_type": "reels"
    }  # fmt: skip
    rows, said = stored_post(post.shortcode, "plays", post.plays), (POST, {"shortcode": post.shortcode})
    yield FlowCase("refresh_post_insights", params, rows, said)
    queued = "select count(*) > 0 from scrape_request_log where flow = '{}' and params ->> 'handle' = '{}'"
    task = TASK, {"flow": "refresh_post_insights", "status": "COMPLETE"}
    rows = queued.format("refresh_post_insights", second.handle), True
    yield FlowCase("refresh_post_insights_by_profile", {"handle": second.handle, "days": 90}, rows, task)
    mentioned = max(token_owners(universe), key=lambda who: len(tagged_posts(universe, who)))
    post = tagged_posts(universe, mentioned)[0]
    rows, said = stored_post(post.shortcode, "comments", post.comments), (POST, {"shortcode": post.shortcode})
    yield FlowCase("fetch_mentioned_posts", {"handle": mentioned.handle}, rows, said)


def _stories(cast: Cast) -> Iterator[FlowCase]:
    universe = cast.universe
    with_stories = [who for who in token_owners(universe) if stories_of(universe, who)]
    who = with_stories[0]
    story = str(stories_of(universe, who)[0].pk)
    rows, said = stored_post(story, "post_type", "story"), (POST, {"shortcode": story, "handle": who.handle})
    yield FlowCase("refresh_stories_posts", {"handle": who.handle}, rows, said)
    who, one = next(
        (who, one) for who in with_stories for one in stories_of(universe, who) if has_story_insights(universe, one)
    )
    pk = str(one.pk)
    params = {"story_id": pk, "shortcode": pk, "profile_id": str(who.pk), "handle": who.handle}
    yield FlowCase(
        "refresh_story_insights", params, stored_post(pk, "reach is not null", True), (POST, {"shortcode": pk})
    )
    who = cast.one(lambda who: stories_of(universe, who))
    pk = str(stories_of(universe, who)[0].pk)
    params = {"profile_id": str(who.pk), "handle": who.handle}
    rows, said = stored_post(pk, "handle", who.handle), (POST, {"shortcode": pk})
    yield FlowCase("refresh_story_posts_by_profile_id", params, rows, said)
    who = cast.one()
    pk = next(str(one.pk) for kept in highlights_of(universe, who).values() for one in kept)
    rows, said = stored_post(pk, "handle", who.handle), (POST, {"shortcode": pk})
    yield FlowCase("fetch_profile_highlights", {"profile_id": str(who.pk)}, rows, said)


def derived_cases(universe: Universe) -> list[FlowCase]:
    """Flows that work on what is stored, which the test lays down: a post and a stale account of nobody connected."""
    owner = token_owners(universe)[0]
    queued = "select count(*) > 0 from scrape_request_log where flow = '{}' and params ->> 'handle' = '{}'"
    stale = "kept.for.long"
    keywords = stored_post("Ckeywords", "keywords <> ''", True)
    averages = "select avg_likes from instagram_account where profile_id = '77'", 100.0
    task = {"status": "COMPLETE"}
    metrics_said = {**task, "flow": "refresh_profile_metrics"}
    return [
        FlowCase("extract_post_keywords", {"shortcodes": ["Ckeywords"]}, keywords, (POST, {"shortcode": "Ckeywords"})),
        FlowCase("refresh_profile_metrics", {"profile_id": "77"}, averages, (TASK, metrics_said)),
        FlowCase(
            "schedule_profile_refresh",
            {"stale_days": 7, "limit": 1},
            (queued.format("refresh_profile_by_handle", stale), True),
            (TASK, {"flow": "refresh_profile_by_handle", "status": "FAILED"}),
        ),
        FlowCase(
            "schedule_post_insights_refresh",
            {"days": 90, "limit": 5},
            ("select count(*) from scrape_request_log where flow = 'refresh_post_insights'", 5),
            (TASK, {**task, "flow": "refresh_post_insights"}),
        ),
        FlowCase(
            "schedule_story_refresh",
            {},
            (queued.format("refresh_stories_posts", owner.handle), True),
            (TASK, {**task, "flow": "refresh_stories_posts"}),
        ),
    ]
