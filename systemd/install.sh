#!/bin/sh
# Installs Windsock from the folder in which this lies, where there is no dpkg and no rpm. As root:
#
#	./install.sh                       install, or put this version in the place of another; what is configured stays
#	./install.sh --uninstall           remove it; configuration, keys and records stay
#	./install.sh --uninstall --purge   remove them, too, and the user
#
# Nothing is started that nobody asked for; an agent that runs is restarted if this version accepts its configuration.
set -eu

say() { echo "install.sh: $*"; }
fail() {
	echo "install.sh: $*" >&2
	exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
manifest=/usr/share/windsock/installed
systemd=
[ ! -d /run/systemd/system ] || systemd=yes

# packaged: no two hands on the same files.
packaged() {
	if command -v dpkg-query >/dev/null && [ -n "$(dpkg-query --show --showformat '${db:Status-Status}' windsock 2>/dev/null | grep -x installed)" ]; then
		fail "windsock is installed as a deb: use apt"
	fi
	if command -v rpm >/dev/null && rpm --quiet -q windsock 2>/dev/null; then
		fail "windsock is installed as an rpm: use dnf or zypper"
	fi
}

user() {
	if ! grep -q '^windsock:' /etc/group; then
		groupadd --system windsock 2>/dev/null || addgroup -S windsock || fail "cannot add the group windsock"
		say "group windsock added"
	fi
	if ! grep -q '^windsock:' /etc/passwd; then
		useradd --system --gid windsock --home-dir /var/lib/windsock --no-create-home --shell /usr/sbin/nologin \
			--comment "Windsock monitoring agent" windsock 2>/dev/null ||
			adduser -S -D -H -h /var/lib/windsock -s /sbin/nologin -G windsock windsock || fail "cannot add the user windsock"
		say "user windsock added"
	fi
}

# put FILE TARGET MODE: a new file in the place of the old one, which a running process keeps.
put() {
	mkdir -p "$(dirname "$2")"
	cp "$1" "$2.new"
	chown 0:0 "$2.new"
	chmod "$3" "$2.new"
	mv -f "$2.new" "$2"
	echo "$2" >>"$manifest.new"
}

# files: all that a package would hold; what the version before had and this one has not is removed.
files() {
	mkdir -p /usr/share/windsock /usr/lib/windsock/plugins
	: >"$manifest.new"
	(cd "$here/root" && find . -type f) | sort >"$manifest.names"
	while read -r name; do
		mode=0644
		[ ! -x "$here/root/$name" ] || mode=0755
		put "$here/root/$name" "/${name#./}" "$mode"
	done <"$manifest.names"
	rm -f "$manifest.names"
	put "$here/_windsock" /usr/share/zsh/site-functions/_windsock 0644
	for name in LICENSE CHANGELOG.md third-party-licenses.gz; do
		put "$here/$name" "/usr/share/doc/windsock/$name" 0644
	done
	if [ -e "$manifest" ]; then
		grep -vxFf "$manifest.new" "$manifest" | while read -r old; do rm -f "$old"; done
	fi
	mv -f "$manifest.new" "$manifest"
}

# configuration: only what is not there.
configuration() {
	for folder in /etc/windsock /etc/windsock/secrets; do
		if [ ! -d "$folder" ]; then
			mkdir -p "$folder"
			chmod 0750 "$folder"
			chgrp windsock "$folder"
		fi
	done
	if [ ! -e /etc/windsock/schedules.yaml ]; then
		(umask 027 && cp "$here/config/schedules.yaml" /etc/windsock/schedules.yaml)
		chmod 0640 /etc/windsock/schedules.yaml
		chgrp windsock /etc/windsock/schedules.yaml
		say "/etc/windsock/schedules.yaml is the commented default"
	fi
	if [ -n "$systemd" ] && [ ! -e /etc/default/windsock ]; then
		mkdir -p /etc/default
		cp "$here/config/default" /etc/default/windsock
		chmod 0644 /etc/default/windsock
	fi
}

install() {
	"$here/root/usr/bin/windsock" version >/dev/null 2>&1 || fail "this archive is for another kind of machine than $(uname -m)"
	packaged
	user
	files
	configuration
	say "$(windsock version | head -n 1) is in /usr/bin"
	[ -s /etc/windsock/secrets/mistral ] || say "give it the key: install -m 0640 -g windsock /dev/stdin /etc/windsock/secrets/mistral"
	if [ -n "$systemd" ]; then
		systemctl daemon-reload
		/usr/lib/windsock/restart
		systemctl --quiet is-active windsock.service || say "start it: systemctl enable --now windsock"
		return
	fi
	if [ ! -d /var/lib/windsock ]; then
		mkdir -p /var/lib/windsock
		chmod 0700 /var/lib/windsock
		chown windsock:windsock /var/lib/windsock
	fi
	say "systemd does not run here: have your own supervisor run, as the user windsock,"
	say "STATE_DIRECTORY=/var/lib/windsock /usr/bin/windsock run --config /etc/windsock/schedules.yaml"
}

uninstall() {
	packaged
	[ -e "$manifest" ] || [ -n "$1" ] || fail "nothing that this script installed is here"
	if [ -n "$systemd" ]; then
		units=$(systemctl list-units --all --plain --no-legend --full --type=service 'windsock.service' 'windsock@*.service' | cut -d ' ' -f 1)
		# shellcheck disable=SC2086 # one word each
		[ -z "$units" ] || systemctl disable --now $units >/dev/null 2>&1 || :
	fi
	if [ -e "$manifest" ]; then
		while read -r name; do rm -f "$name"; done <"$manifest"
		rm -f "$manifest"
		rmdir /usr/lib/windsock/plugins /usr/lib/windsock /usr/share/windsock/drop-ins /usr/share/windsock /usr/share/doc/windsock 2>/dev/null || :
		say "removed"
	fi
	[ -z "$systemd" ] || systemctl daemon-reload
	if [ -z "$1" ]; then
		say "configuration, keys and records stay in /etc/windsock and /var/lib/windsock; --uninstall --purge removes them"
		return
	fi
	rm -rf /etc/windsock /var/lib/windsock /var/lib/windsock@* /run/windsock /run/windsock@* /usr/lib/windsock
	rm -f /etc/default/windsock /etc/default/windsock@*
	rm -rf /etc/systemd/system/windsock.service.d /etc/systemd/system/windsock@*.service.d
	! grep -q '^windsock:' /etc/passwd || userdel windsock 2>/dev/null || deluser windsock || :
	! grep -q '^windsock:' /etc/group || groupdel windsock 2>/dev/null || delgroup windsock || :
	say "configuration, keys, records and the user are gone"
}

[ "$(id -u)" = 0 ] || fail "needs root"
umask 022
case "$*" in
"") install ;;
--uninstall) uninstall "" ;;
"--uninstall --purge" | "--purge --uninstall") uninstall purge ;;
*) fail "usage: install.sh [--uninstall [--purge]]" ;;
esac
