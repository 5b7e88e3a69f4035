"""What the asset tasks mean: a picture or video is copied to the object store, before its source forgets it."""

from __future__ import annotations

from core.models.params import AssetParams
from core.runtime import FlowContext


async def asset_upload_flow(params: AssetParams, ctx: FlowContext) -> None:
    """Copy a profile's or post's picture or video.

    Raises:
        MediaError: it could not be copied.
    """
    uploader = await ctx.runtime.uploader()
    await uploader.copy(params)


async def asset_upload_flow_stories(params: AssetParams, ctx: FlowContext) -> None:
    """Copy a story's picture or video.

    Raises:
        MediaError: it could not be copied.
    """
    uploader = await ctx.runtime.uploader()
    await uploader.copy(params, story=True)
