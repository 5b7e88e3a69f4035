"""Parameters of the 73 flows: what ``scrape_request_log.params`` must hold.

Names and defaults bind callers and queued rows. Numbers given as text are read as numbers and ids given as numbers
as text; an unknown key is refused with its name.
"""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

MAX_PARAMS_BYTES = 256 * 1024


class Params(BaseModel):
    """Base of all parameter models. ``csv``: callers read the result as text."""

    csv: ClassVar[bool] = False

    model_config = ConfigDict(
        extra="forbid", coerce_numbers_to_str=True, frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )


def describe(error: ValidationError) -> str:
    """One line that names each wrong field and what it accepts; never quotes the value."""
    entries = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(
        f"params.{'.'.join(map(str, e['loc'])) or '*'}: {e['msg'].removeprefix('Value error, ')}" for e in entries[:10]
    )


class NoParams(Params):
    """A flow that needs nothing."""


class HandleParams(Params):
    handle: str = Field(min_length=1, max_length=255)


class ProfileIdParams(Params):
    profile_id: str = Field(min_length=1, max_length=64)


class ProfileParams(Params):
    """A profile by id, by handle, or both (the id wins)."""

    profile_id: str | None = None
    handle: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "ProfileParams":
        if not self.profile_id and not self.handle:
            raise ValueError("give profile_id, handle or both")
        return self


class ProfileCustomParams(ProfileParams):
    max_posts: int = Field(ge=1)


class ShortcodeParams(Params):
    shortcode: str = Field(min_length=1, max_length=255)


class PostIdParams(Params):
    post_id: str = Field(min_length=1)


class ProfilePostsParams(ProfileIdParams):
    max_posts: int = Field(ge=1)


class TaggedPostsParams(ProfileIdParams):
    max_posts: int = Field(100, ge=1)


class RecentPostsParams(ProfileIdParams):
    max_posts: int = Field(50, ge=1)
    days: int = Field(30, ge=1)


class HandlePostsParams(HandleParams):
    max_posts: int = Field(50, ge=1)


class HandleMentionsParams(HandleParams):
    max_posts: int = Field(100, ge=1)


class HandleDaysParams(HandleParams):
    days: int = Field(30, ge=1)


class CursorParams(ProfileIdParams):
    cursor: str | None = None


class HashtagPostsParams(Params):
    hashtag: str = Field(min_length=1)
    max_posts: int = Field(ge=1)
    cursor: str | None = None


class HashtagTopParams(Params):
    hashtag: str = Field(min_length=1)
    max_posts: int = Field(100, ge=1)


class PostInsightsParams(HandleParams):
    shortcode: str
    post_id: str
    post_type: str


class StoryInsightsParams(HandleParams):
    story_id: str
    shortcode: str
    profile_id: str


class ProfileStoriesParams(ProfileIdParams):
    handle: str
    story_ids: list[str] | None = None
    profile_follower: int | None = None
    profile_er: float | None = None
    profile_static_er: float | None = None
    profile_reels_er: float | None = None


class CommentsParams(ShortcodeParams):
    max_comments: int | None
    cursor: str | None = None


class LikesParams(ShortcodeParams):
    max_likes: int | None = None
    cursor: str | None = None


class RepliesParams(ShortcodeParams):
    comment_id: str
    max_replies: int = Field(200, ge=1)


class SentimentParams(ShortcodeParams):
    platform: str = "INSTAGRAM"
    max_comments: int = Field(1000, ge=1)


class KeywordsParams(Params):
    shortcodes: list[str]
    platform: str = "INSTAGRAM"


class StaleParams(Params):
    stale_days: int = Field(7, ge=1)
    limit: int = Field(1000, ge=1)


class DaysLimitParams(Params):
    days: int = Field(30, ge=1)
    limit: int = Field(1000, ge=1)


class LimitParams(Params):
    limit: int = Field(1000, ge=1)


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("must be a whole number, every digit of it: a float has lost some")  # noqa: TRY004
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004
    return value


class AssetParams(Params):
    """``hash`` is an unsigned 64-bit number and stays exact."""

    entity_type: Literal["PROFILE", "POST"]
    entity_id: str = Field(min_length=1)
    asset_type: Literal["IMAGE", "VIDEO"]
    original_url: str = Field(min_length=1)
    platform: str
    hash: Annotated[int, BeforeValidator(_exact)] = Field(ge=0, lt=2**64)


class YtProfilesParams(Params):
    channel_ids: list[str]


class YtPostsParams(Params):
    post_ids: list[str]
    playlist_id: str | None = None
    category: str | None = None
    topic: str | None = None


class YtChannelParams(Params):
    channel_id: str = Field(min_length=1)


class YtPlaylistPostsParams(YtChannelParams):
    max_posts: int | None = None


class DateRange(Params):
    start_date: date
    end_date: date


class YtChannelPostsParams(YtChannelParams):
    filter: DateRange | None = None
    max_posts: int | None = None


class YtShortsParams(YtChannelParams):
    max_posts: int = Field(50, ge=1)


class YtGenreParams(Params):
    category: str
    language: str


class YtSearchParams(Params):
    job_id: str
    keywords: list[str]
    start_date: date
    end_date: date
    categorization: bool = True
    frequency: int | None = None


class YtPostTypeParams(Params):
    post_id: str


class YtActivitiesParams(Params):
    channel_id: str | None = None
    max_activities: int | None = None


class YtRelationshipParams(Params):
    channel_id: str | None = None
    max_relationship: int | None = None


class YtPostInsightsParams(YtChannelParams):
    video_ids: list[str]


class OrdersParams(Params):
    store: str
    limit: int = Field(ge=1, le=250)
    updated_at_min: str | None = None
    created_at_min: str | None = None
    created_at_max: str | None = None


class OrderParams(Params):
    store: str
    order_id: str


class ProductsParams(Params):
    store: str
    limit: int = Field(250, ge=1, le=250)
    updated_at_min: str | None = None


class GptData(Params):
    handle: str
    name: str | None = None
    bio: str | None = None
    category: str | None = None


class GptParams(Params):
    data: GptData


class GptCategoryData(GptData):
    category: str


class GptCategoryParams(Params):
    data: GptCategoryData


class CsvParams(Params):
    """A csv job; ``scrape_id`` is filled in with the task's id when it runs."""

    csv: ClassVar[bool] = True
    scrape_id: int | None = None


class ChannelsCsvParams(CsvParams):
    channel_ids: list[str] | None = None
    channel_ids_path: str | None = None


class ChannelsRangeCsvParams(ChannelsCsvParams):
    start_date: date
    end_date: date


class ChannelEngagementCsvParams(ChannelsRangeCsvParams):
    filter_by: Literal["channel_gcc_category", "channel_yt_category"]


class PlaylistsCsvParams(CsvParams):
    playlist_ids: list[str] | None = None
    playlist_ids_path: str | None = None


class VideosCsvParams(CsvParams):
    video_ids: list[str] | None = None
    video_ids_path: str | None = None


class KeywordVideosCsvParams(CsvParams):
    start_date: date
    end_date: date
    keywords: list[str] | None = None
    keywords_list_path: str | None = None
    frequency: int | None = None
