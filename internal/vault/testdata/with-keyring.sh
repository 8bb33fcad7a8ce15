#!/bin/sh
# Runs its arguments with a real Secret Service: a private bus at the standard
# place of a throwaway XDG_RUNTIME_DIR, a throwaway HOME, and an unlocked
# gnome-keyring. Needs dbus and gnome-keyring.
#
#   internal/vault/testdata/with-keyring.sh go test ./internal/vault/
set -eu

for tool in dbus-daemon dbus-send gnome-keyring-daemon; do
	command -v "$tool" >/dev/null || { echo "with-keyring.sh: $tool is not installed" >&2; exit 1; }
done

# Go keeps the caches that belong to the person.
if command -v go >/dev/null; then
	GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE)
	export GOCACHE GOMODCACHE
fi

scratch=$(mktemp -d)
bus='' keyring=''
finish() {
	for pid in $keyring $bus; do kill "$pid" 2>/dev/null || true; done
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir -m 700 "$scratch/run" "$scratch/home"
unset DISPLAY WAYLAND_DISPLAY XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME
export HOME="$scratch/home" XDG_RUNTIME_DIR="$scratch/run"
export DBUS_SESSION_BUS_ADDRESS="unix:path=$scratch/run/bus"
export MCPAUTH_TEST_KEYCHAIN=1

ask() {
	dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus /org/freedesktop/DBus \
		"org.freedesktop.DBus.$1" string:org.freedesktop.secrets 2>/dev/null
}
wait_for() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || { echo "with-keyring.sh: gave up waiting for: $*" >&2; exit 1; }
		sleep 0.05
	done
}

dbus-daemon --session --nofork --address="$DBUS_SESSION_BUS_ADDRESS" 2>"$scratch/bus.log" &
bus=$!
wait_for test -S "$scratch/run/bus"
printf 'pw\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
wait_for ask GetNameOwner
keyring=$(ask GetConnectionUnixProcessID | awk '{ print $NF }')

status=0
"$@" || status=$?
exit "$status"
