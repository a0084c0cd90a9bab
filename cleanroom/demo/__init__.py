"""The demonstration: both parties on one machine, on a real year of shopping, as two processes that trust nobody."""

from cleanroom.demo.check import CheckedCell, SelfCheck, self_check
from cleanroom.demo.demonstration import Demo, new_folder, run_demo
from cleanroom.demo.journey import Journey, load_journey
from cleanroom.demo.pair import PairError, run_pair
from cleanroom.demo.scene import Scene, build_scene
from cleanroom.demo.tables import check_table, funnel_table, verdict
from cleanroom.demo.talk import Talk

__all__ = [
    "CheckedCell",
    "Demo",
    "Journey",
    "PairError",
    "Scene",
    "SelfCheck",
    "Talk",
    "build_scene",
    "check_table",
    "funnel_table",
    "load_journey",
    "new_folder",
    "run_demo",
    "run_pair",
    "self_check",
    "verdict",
]
