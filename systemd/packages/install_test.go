//go:build packages

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// next is the same source as version 9.9.9, which is newer than all others, and of another time.
var next = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // built once
	dist := filepath.Join(filepath.Dir(built.first), "next")
	environ := append(os.Environ(), "VERSION=9.9.9", "SOURCE_DATE_EPOCH=1800000000")
	return dist, build(context.Background(), []string{"-root", checkout, "-dist", dist, "-arch", "amd64", "-format", "deb,rpm,tar.gz"}, environ, io.Discard)
})

func newer(t *testing.T, format string) string {
	t.Helper()
	dist, err := next()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dist, (&release{version: "9.9.9"}).named("amd64", format))
}

const ownersOfAll = `-rw-r--r-- root:root /etc/default/windsock
drwxr-x--- root:windsock /etc/windsock
-rw-r----- root:windsock /etc/windsock/schedules.yaml
drwxr-x--- root:windsock /etc/windsock/secrets
`

func TestDpkgInstallsUpgradesRemovesAndPurges(t *testing.T) {
	t.Parallel()
	out := inside(t, `
all >"$W/before"; cp "$R/etc/passwd" "$R/etc/group" "$W"
cp "$1" "$2" "$R/tmp"
one=/tmp/$(basename "$1"); two=/tmp/$(basename "$2")
echo "# install"; within dpkg -i "$one"; owners
within getent passwd windsock
within windsock version
test -L "$R/etc/systemd/system/multi-user.target.wants/windsock.service" && echo "is enabled"
echo "# a key, a change, an owner of somebody's own"
echo key >"$R/etc/windsock/secrets/mistral"
echo "# mine" >>"$R/etc/windsock/schedules.yaml"
within chgrp daemon /etc/windsock/secrets
within install -d -o windsock -g windsock -m 0700 /var/lib/windsock "/var/lib/windsock@eu"
echo "# upgrade"; within dpkg -i "$two"; within windsock version; tail -n 1 "$R/etc/windsock/schedules.yaml"; owners | grep -c daemon
echo "# downgrade"; within dpkg -i "$one"; within windsock version
echo "# remove"; within dpkg -r windsock; find "$R/etc/windsock" "$R/var/lib/windsock" -type f -printf '%P\n' | sort; within getent group windsock >/dev/null && echo "group stays"
test -L "$R/etc/systemd/system/multi-user.target.wants/windsock.service" || echo "is disabled"
echo "# again"; within dpkg -i "$two"; tail -n 1 "$R/etc/windsock/schedules.yaml"
mkdir -p "$R/etc/systemd/system/windsock.service.d" "$R/etc/systemd/system/windsock@eu.service.d"; : >"$R/etc/systemd/system/windsock.service.d/plugins.conf"
: >"$R/etc/windsock/plugins.lock"; : >"$R/etc/default/windsock@eu"; : >"$R/usr/lib/windsock/plugins/shop"
echo "# purge"; within dpkg -P windsock
all | diff "$W/before" - && echo "no file is left"
diff "$W/passwd" "$R/etc/passwd"; diff "$W/group" "$R/etc/group" && echo "no user is left"
`, file("amd64", "deb"), newer(t, "deb"))
	has(t, out, "# install", "windsock: give it the key", "windsock: then: systemctl start windsock", ownersOfAll, "windsock:x:", ":/var/lib/windsock:/usr/sbin/nologin",
		"windsock "+built.release.version, "is enabled", "# upgrade", "windsock 9.9.9 ", " of 2027-01-15T08:00:00Z", "# mine", "1\n", "# downgrade", "windsock "+built.release.version,
		"# remove", "schedules.yaml\nsecrets/mistral\n", "group stays", "is disabled", "# again", "# mine", "# purge", "no file is left", "no user is left")
}

func TestDpkgTakesWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	out := inside(t, `
cp "$1" "$R/tmp"
install -d -m 0750 "$R/etc/windsock" "$R/etc/windsock/secrets"
echo key >"$R/etc/windsock/secrets/mistral"; chmod 0640 "$R/etc/windsock/secrets/mistral"
within dpkg -i "/tmp/$(basename "$1")"; owners
`, file("amd64", "deb"))
	has(t, out, "drwxr-x--- root:windsock /etc/windsock/secrets\n", "-rw-r----- root:windsock /etc/windsock/secrets/mistral\n")
	if strings.Contains(out, "give it the key") {
		t.Errorf("there is a key, and it is asked for:\n%s", out)
	}
}

func TestDpkgRemembersWhoDisabledTheUnit(t *testing.T) {
	t.Parallel()
	out := inside(t, `
cp "$1" "$2" "$R/tmp"
link=$R/etc/systemd/system/multi-user.target.wants/windsock.service
within dpkg -i "/tmp/$(basename "$1")" >/dev/null
rm "$link"
within dpkg -i "/tmp/$(basename "$2")" >/dev/null; test -e "$link" || test -L "$link" || echo "disabled after the upgrade"
within dpkg -r windsock >/dev/null; within dpkg -i "/tmp/$(basename "$2")" >/dev/null; test -L "$link" || echo "disabled after removal"
within dpkg -P windsock >/dev/null; within dpkg -i "/tmp/$(basename "$2")" >/dev/null; test -L "$link" && echo "enabled after purge"
`, file("amd64", "deb"), newer(t, "deb"))
	has(t, out, "disabled after the upgrade", "disabled after removal", "enabled after purge")
}

func TestRpmInstallsUpgradesAndRemoves(t *testing.T) {
	t.Parallel()
	out := inside(t, `
rpm="rpm --root $R --dbpath /var/lib/rpm --nodeps"
echo "# install"; $rpm -i "$1"; owners; within getent passwd windsock; within windsock version
$rpm -V windsock && echo "as it was packed"
echo "# upgrade"
echo key >"$R/etc/windsock/secrets/mistral"
echo "# mine" >>"$R/etc/windsock/schedules.yaml"
within install -d -o windsock -g windsock -m 0700 /var/lib/windsock
: >"$R/var/lib/windsock/windsock.db"
$rpm -U "$2"; within windsock version; tail -n 1 "$R/etc/windsock/schedules.yaml"
echo "# downgrade"; $rpm -U --oldpackage "$1"; within windsock version
echo "# remove"; $rpm -e windsock; find "$R/etc/windsock" "$R/var/lib/windsock" "$R/usr/bin/windsock" -type f -printf '%P\n' 2>/dev/null | sort
within getent group windsock >/dev/null && echo "group stays"
`, file("amd64", "rpm"), newer(t, "rpm"))
	has(t, out, "# install", "windsock: give it the key", "windsock: then: systemctl enable --now windsock", ownersOfAll, ":/var/lib/windsock:/usr/sbin/nologin", "windsock "+built.release.version,
		"as it was packed", "# upgrade", "windsock 9.9.9 ", "# mine", "# downgrade", "windsock "+built.release.version, "# remove", "schedules.yaml.rpmsave\nsecrets/mistral\nwindsock.db\ngroup stays")
	for _, bad := range []string{"warning: user", "warning: group", "scriptlet failed", "error:"} {
		if strings.Contains(out, bad) {
			t.Errorf("rpm says %q:\n%s", bad, out)
		}
	}
}

func TestArchiveInstallsAgainAndUninstalls(t *testing.T) {
	t.Parallel()
	out := inside(t, `
all >"$W/before"; cp "$R/etc/passwd" "$R/etc/group" "$W"
for archive in "$1" "$2"; do tar -xzf "$archive" -C "$R/tmp" --no-same-owner; done
one=/tmp/$(basename "$1" .tar.gz); two=/tmp/$(basename "$2" .tar.gz)
echo "# install"; within "$one/install.sh"; owners; within windsock version; within windsock validate --config /etc/windsock/schedules.yaml | head -n 1
all >"$W/installed"
echo "# again"; within "$one/install.sh"; all | diff "$W/installed" - && echo "the same files"
echo "# upgrade"
echo "# mine" >>"$R/etc/windsock/schedules.yaml"
echo /usr/share/windsock/of-old >>"$R/usr/share/windsock/installed"; : >"$R/usr/share/windsock/of-old"
within "$two/install.sh"; within windsock version; tail -n 1 "$R/etc/windsock/schedules.yaml"; test -e "$R/usr/share/windsock/of-old" || echo "what is of old is gone"
echo "# uninstall"; within "$two/install.sh" --uninstall; within sh -c 'command -v windsock' || echo "no windsock"; find "$R/etc/windsock" -type f -printf '%P\n'
echo "# purge"; within "$two/install.sh" --uninstall --purge
all | grep -v '^./etc/default$' | diff "$W/before" - || true
diff "$W/passwd" "$R/etc/passwd"; diff "$W/group" "$R/etc/group" && echo "no user is left"
within "$two/install.sh" --uninstall || echo "refused: $?"
`, file("amd64", "tar.gz"), newer(t, "tar.gz"))
	has(t, out, "# install", "install.sh: group windsock added", "systemd does not run here", "drwxr-x--- root:windsock /etc/windsock\n-rw-r----- root:windsock /etc/windsock/schedules.yaml\ndrwxr-x--- root:windsock /etc/windsock/secrets\n",
		"windsock "+built.release.version, "# again", "the same files", "# upgrade", "windsock 9.9.9 ", "# mine", "what is of old is gone",
		"# uninstall", "install.sh: removed", "no windsock", "schedules.yaml", "# purge", "no user is left", "nothing that this script installed is here", "refused: 1")
}

func TestArchiveLeavesThePackageAlone(t *testing.T) {
	t.Parallel()
	out := inside(t, `
cp "$1" "$R/tmp"; tar -xzf "$2" -C "$R/tmp" --no-same-owner
within dpkg -i "/tmp/$(basename "$1")" >/dev/null
within "/tmp/$(basename "$2" .tar.gz)/install.sh" || echo "refused: $?"
`, file("amd64", "deb"), file("amd64", "tar.gz"))
	has(t, out, "install.sh: windsock is installed as a deb: use apt", "refused: 1")
}
