# SPDX-License-Identifier: Apache-2.0
from convbwd_study.interrupts import answered_by, leave, let_in

with answered_by(leave), let_in():
    from convbwd_study.cli import app  # takes a while

    app(prog_name="scripts/study")
