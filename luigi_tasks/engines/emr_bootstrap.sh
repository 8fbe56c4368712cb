#!/bin/bash
# Installs the Python that the environment archive was packed for, where Amazon Linux has not got it: emr_bootstrap.sh 3.11
set -euo pipefail
command -v "python$1" || sudo dnf install --assumeyes "python$1"
