# SPDX-License-Identifier: Apache-2.0
"""Runs, resumes, analyses and draws studies of convolution's backward pass. Knows file formats only."""
