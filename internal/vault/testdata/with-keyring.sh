#!/bin/sh
# Runs its arguments with a real Secret Service: a private bus, a throwaway HOME
# and an unlocked gnome-keyring. Needs gnome-keyring and dbus.
#
#   MCPAUTH_TEST_KEYCHAIN=1 internal/vault/testdata/with-keyring.sh go test ./internal/vault/
set -eu

if [ "${MCPAUTH_PRIVATE_BUS:-}" != 1 ]; then
	for tool in dbus-run-session gnome-keyring-daemon dbus-send; do
		command -v "$tool" >/dev/null || { echo "with-keyring.sh: $tool is not installed" >&2; exit 1; }
	done
	# The tools keep the caches that belong to the person.
	GOCACHE=${GOCACHE:-$(go env GOCACHE)} GOMODCACHE=${GOMODCACHE:-$(go env GOMODCACHE)}
	export GOCACHE GOMODCACHE
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	mkdir -m 700 "$scratch/run" "$scratch/home"
	unset DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME
	status=0
	HOME="$scratch/home" XDG_RUNTIME_DIR="$scratch/run" MCPAUTH_PRIVATE_BUS=1 \
		dbus-run-session -- "$0" "$@" || status=$?
	exit "$status"
fi

bus() {
	dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus /org/freedesktop/DBus \
		"org.freedesktop.DBus.$1" string:org.freedesktop.secrets 2>/dev/null
}

printf 'pw\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
tries=0
until bus GetNameOwner >/dev/null; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || { echo "with-keyring.sh: the keyring did not come up" >&2; exit 1; }
	sleep 0.05
done
pid=$(bus GetConnectionUnixProcessID | awk '{ print $NF }')

status=0
"$@" || status=$?
kill "$pid"
exit "$status"
