#!/usr/bin/env bash
# Makes grok1 for machines without the .NET SDK: one folder with the runtime in it, and the same as a .tar.gz.
#   ./publish.sh [RUNTIME] [FOLDER]     default: linux-x64, publish/RUNTIME
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
runtime=${1:-linux-x64}
folder=${2:-publish/$runtime}
case $runtime in
  -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
  -* | */* | .*) echo "publish.sh: $runtime is not a runtime such as linux-x64" >&2; exit 2 ;;
esac
command -v dotnet >/dev/null || { echo "publish.sh: the .NET 10 SDK is needed here (not where the result runs): no dotnet in PATH" >&2; exit 1; }

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_USE_MSBUILD_SERVER=0
mkdir -p "$(dirname "$folder")"
aside=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$aside"' EXIT
# Packages are as locked; the runtime's own come on top of those. Machine code is made here (ReadyToRun), so that processes start sooner;
# of program and runtime together (composite): the runtime's generic types over the program's own would be compiled at every start else.
dotnet publish src/Cli/Cli.csproj -c Release -r "$runtime" --self-contained -o "$aside" -v quiet --nologo \
  -p:UseSharedCompilation=false -p:RestoreLockedMode=false -p:NuGetLockFilePath="$(mktemp -u)" -p:DebugType=none -p:PublishReadyToRun=true -p:PublishReadyToRunComposite=true >&2
mkdir -p "$aside/models"
cp -r models/demo "$aside/models/"
cp -r LICENSE README.md docs infra/systemd "$aside/"
chmod 755 "$aside"
rm -rf "$folder"
mv "$aside" "$folder"
tar -C "$(dirname "$folder")" -czf "$folder.tar.gz" "$(basename "$folder")"
echo "$folder/grok1 ($(du -sh "$folder" | cut -f1)); $folder.tar.gz ($(du -h "$folder.tar.gz" | cut -f1))"
