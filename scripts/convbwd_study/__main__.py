# SPDX-License-Identifier: Apache-2.0
from convbwd_study.cli import app

app(prog_name="scripts/study")
