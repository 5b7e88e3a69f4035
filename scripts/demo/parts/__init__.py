"""What the demo does beside its main job, one module per part, in the order of the table."""

from __future__ import annotations

from scripts.demo.parts import comments, followers, insights, media, stories
from scripts.demo.parts.base import Part

PARTS: tuple[Part, ...] = (insights, stories, followers, comments, media)
