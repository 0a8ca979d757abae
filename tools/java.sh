#!/usr/bin/env bash
# Java 17 or newer for Spark. As root with apt at hand it is installed; else one line says how.
set -u
program="${JAVA_HOME:+$JAVA_HOME/bin/}java"
major=$("$program" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1)
[ -n "$major" ] && [ "$major" -ge 17 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Java 17 was not found: installing openjdk-17-jre-headless"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openjdk-17-jre-headless; } >/dev/null && exit 0
fi
echo "error: Java 17 or newer was not found (found: ${major:-none}): Debian, Ubuntu: sudo apt-get install -y openjdk-17-jre-headless; macOS: brew install openjdk@17; conda: conda install -c conda-forge openjdk=17" >&2
exit 2
