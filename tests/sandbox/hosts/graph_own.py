"""Graph's edges below the token owner's account and media, and hashtags."""

from __future__ import annotations

from tests.sandbox.hosts import graph_errors as errors
from tests.sandbox.hosts import graph_insights as insights
from tests.sandbox.hosts.base import Answer, Call
from tests.sandbox.hosts.graph_fields import FieldsError, parse_fields
from tests.sandbox.hosts.graph_media import edge, media_object, own_posts, positive, stamp, story_page
from tests.sandbox.ids import FIRST_STORY
from tests.sandbox.people import CAPTIONS, COMMENTS
from tests.sandbox.posts import DAY, Post, by_graph_id, posts_of
from tests.sandbox.templates import Json, sample
from tests.sandbox.universe import OPEN_KINDS, Creator, Universe

HASHTAG_FIELDS = frozenset(
    {"caption", "comments_count", "like_count", "media_type", "media_url", "permalink", "timestamp", "children", "id"}
)
_HASHTAG_AFTER = "NTAyYmE4ZAmE3NDQ2NDhmYjkxZAGQ1"
FEW_VIEWERS = 5  # one story in so many has too few viewers
BUSINESS_SINCE_DAYS = 100  # older media predate the business account


class OwnEdges:
    """Answers that only the owner of an account gets."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        words = {word[1:].lower() for caption in CAPTIONS for word in caption.split() if word.startswith("#")}
        numbers = {word: 17_840_000_000_000_000 + universe.number("tag", word) % 10**13 for word in sorted(words)}
        self._tags = {str(number): word for word, number in numbers.items()}

    def is_story(self, media_id: str) -> bool:
        """Whether this Graph media id is a story's."""
        media = by_graph_id(self.universe, media_id)
        return media is not None and media.slot >= FIRST_STORY

    def render(self, call: Call) -> Answer:
        """Any call below a user, a media or a hashtag; ``call.extra`` is (edge, own fbid, path, query...)."""
        name, own, path = call.extra[:3]
        query = dict(item.split("=", 1) for item in call.extra[3:])
        who = self.universe.by_fbid(call.subject if call.by == "fbid" else own)
        if who is None:
            return errors.missing_object(call.subject)
        if name in {"media", "stories", "tags"}:
            return self._media(who, name, query, path)
        if name == "insights" and call.by == "fbid":
            return self._user_insights(who, query, insights.version_of(path))
        if name in {"recent_media", "top_media"}:
            return self._hashtag(call.subject, query, path)
        if name == "replies":
            return self._replies(who, call.subject, query, path)
        post = by_graph_id(self.universe, call.subject)
        if post is None or post.index != who.index:
            return errors.missing_object(call.subject)
        if name == "insights":
            return self._media_insights(post, query, insights.version_of(path))
        return self._comments(post, query, path)

    def _media(self, who: Creator, name: str, query: dict[str, str], path: str) -> Answer:
        try:
            fields = list(parse_fields(query.get("fields", "id")))
        except FieldsError as problem:
            return errors.bad_parameter(f"Syntax error: {problem}")
        if name == "media":
            page, paging = edge(own_posts(self.universe, who), query, path)
            items = [media_object(self.universe, post, fields) for post in page]
        elif name == "tags":
            around = self.universe.others(who.index, 30, "tagging")
            posts = [post for other in around for post in posts_of(self.universe, other) if who.index in post.tagged]
            page, paging = edge(posts, query, path)
            items = [media_object(self.universe, post, fields) for post in page]
        else:
            items, paging = edge(story_page(self.universe, who, fields), query, path)  # type: ignore[assignment]
        return Answer.of({"data": items, "paging": paging} if paging else {"data": items})

    def _user_insights(self, who: Creator, query: dict[str, str], version: int) -> Answer:
        metrics = _metrics(query)
        if version >= insights.NEW_METRICS and any(name.startswith("audience_") for name in metrics):
            return errors.bad_parameter(f"metric is not supported in v{version}.0")
        if query.get("metric_type") == "total_value":
            if version < insights.NEW_METRICS:
                return errors.bad_parameter(f"metric_type is not supported in v{version}.0")
            breakdown = insights.breakdown_keys(query.get("breakdown", ""))
            if breakdown is None or not set(metrics) <= insights.DEMOGRAPHICS:
                return errors.bad_parameter("Incompatible metric and breakdown")
            return Answer.of({"data": insights.demographics(self.universe, who, metrics, breakdown)})
        if not metrics or not set(metrics) <= insights.user_metrics():
            return errors.bad_parameter("metric must be one of the supported values")
        period = query.get("period", "day")
        if period == "lifetime" and who.followers < 100:
            return errors.sampled("fetch_audience_insights.error-400-100-few-followers")
        return Answer.of({"data": insights.user_insights(self.universe, who, metrics, period)})

    def _media_insights(self, post: Post, query: dict[str, str], version: int) -> Answer:
        metrics = _metrics(query)
        moves = metrics == ["navigation"] and post.slot >= FIRST_STORY and version >= insights.NEW_METRICS
        if not moves and (not metrics or not set(metrics) <= set(insights.media_kind_metrics(post, version))):
            return errors.bad_parameter("metric is not supported for this kind of media")
        if post.slot >= FIRST_STORY and self.universe.number("viewers", post.pk) % FEW_VIEWERS == 0:
            return errors.sampled("fetch_story_insights.error-400-10-few-viewers")
        if post.taken_at < self.universe.now - BUSINESS_SINCE_DAYS * DAY:
            return errors.sampled("fetch_post_insights.error-400-100-before-business")
        if moves:
            return Answer.of({"data": insights.navigation(self.universe, post)})
        return Answer.of({"data": insights.media_insights(self.universe, post, metrics, version)})

    def _comments(self, post: Post, query: dict[str, str], path: str) -> Answer:
        page, paging = edge(range(min(post.comments, 120)), query, path)
        items = [self._comment(post, number) for number in page]
        return Answer.of({"data": items, "paging": paging} if paging else {"data": items})

    def _comment(self, post: Post, number: int) -> Json:
        dice = self.universe.number("comment", post.pk, number)
        writers = self.universe.others(post.index, 1, post.slot, number)
        return _written(writers, post.taken_at + 60 + number, dice)

    def _replies(self, who: Creator, comment_id: str, query: dict[str, str], path: str) -> Answer:
        """Up to 120 replies to any comment of one's own."""
        page, paging = edge(range(self.universe.number("replies", comment_id) % 121), query, path)
        items = [self._reply(who, comment_id, number) for number in page]
        return Answer.of({"data": items, "paging": paging} if paging else {"data": items})

    def _reply(self, who: Creator, comment_id: str, number: int) -> Json:
        dice = self.universe.number("reply", comment_id, number)
        writers = self.universe.others(who.index, 1, comment_id, number)
        return _written(writers, self.universe.now - DAY + number, dice)

    def hashtag_search(self, tag: str) -> Answer:
        """Name -> id; code 24 for a hashtag that nobody used."""
        for number, word in self._tags.items():
            if word == tag.lstrip("#").lower():
                return Answer.of({"data": [{"id": number}]})
        error = errors.documented("fetch_hashtag_posts.error-400-24-no-hashtag")
        error["error_user_msg"] = error["error_user_msg"].replace("strikke1", tag)
        return errors.answer(error, 400)

    def _hashtag(self, number: str, query: dict[str, str], path: str) -> Answer:
        """Two pages at most: every page carries the same ``after``, and only ``next`` tells that there is one more."""
        word = self._tags.get(number)
        if word is None:
            return errors.missing_object(number)
        captions = {caption for caption in CAPTIONS if f"#{word}" in caption.lower().split()}
        creators = (self.universe.creator(index) for index in range(min(self.universe.size, 100)))
        public = [who for who in creators if who.kind in OPEN_KINDS]
        posts = [post for who in public for post in own_posts(self.universe, who) if post.caption in captions]
        limit = min(positive(query.get("limit"), 25), 50)
        first = query.get("after") != _HASHTAG_AFTER
        page = posts[:limit] if first else posts[limit:100]
        asked = [name for name in query.get("fields", "id").split(",") if name in HASHTAG_FIELDS]
        paging: Json = {"cursors": {"after": _HASHTAG_AFTER}}
        if first and len(posts) > limit:
            paging["next"] = (
                f"https://graph.facebook.com{path}?access_token=REDACTED&limit={limit}&after={_HASHTAG_AFTER}"
            )
        return Answer.of({"data": [media_object(self.universe, p, asked) for p in page], "paging": paging})


def _written(writers: list[Creator], written_at: int, dice: int) -> Json:
    item: Json = sample("graphapi", "fetch_post_comments")["data"][0]
    item.update(
        timestamp=stamp(written_at),
        text=COMMENTS[dice % len(COMMENTS)],
        username=writers[0].handle if writers else "sandbox.nobody",
        like_count=dice % 40,
        id=str(17_870_000_000_000_000 + dice % 10**13),
    )
    return item


def _metrics(query: dict[str, str]) -> list[str]:
    return [name for name in query.get("metric", "").replace(" ", "").split(",") if name]
