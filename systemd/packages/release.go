package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// release is one version of the source, and where it is built.
type release struct {
	root, dist string
	version    string // as `windsock version` prints it: 1.2.3, 1.2.3-rc.1, 1.2.3+4.gabcdef0
	commit     string
	date       time.Time // of the commit, or SOURCE_DATE_EPOCH: the time of every file
}

// newRelease asks git, where VERSION and SOURCE_DATE_EPOCH do not answer.
func newRelease(ctx context.Context, root string, getenv func(string) string) (*release, error) {
	r := &release{root: root, version: strings.TrimPrefix(getenv("VERSION"), "v")}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output() //nolint:gosec // git, with words of ours
		return strings.TrimSpace(string(out)), err
	}
	head, headErr := git("log", "-1", "--format=%H %ct")
	commit, stamp, _ := strings.Cut(head, " ")
	r.commit = commit
	if epoch := getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		stamp = epoch
	} else if headErr != nil {
		return nil, errors.New("this is no git checkout: set SOURCE_DATE_EPOCH, in seconds since 1970")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH is %q, want seconds since 1970", stamp)
	}
	r.date = time.Unix(seconds, 0).UTC()
	if r.version != "" {
		return r, nil
	}
	if headErr != nil {
		return nil, errors.New("this is no git checkout: set VERSION, as in VERSION=1.2.3")
	}
	described, err := git("describe", "--tags", "--match", "v[0-9]*", "--long", "--abbrev=12")
	if err != nil {
		described = "" // no tag yet
	}
	r.version = versionOf(described, commit, r.date)
	return r, nil
}

// versionOf makes a version of what `git describe --long` says: v1.2.3-0-gabc is 1.2.3, and four commits later
// 1.2.3+4.gabc, which is newer than 1.2.3 and older than 1.2.4. Before the first tag it is a pre-release of 0.0.0 by date.
func versionOf(described, commit string, date time.Time) string {
	parts := strings.Split(described, "-")
	if len(parts) < 3 {
		return fmt.Sprintf("0.0.0-dev.%s.g%.12s", date.Format("20060102150405"), commit)
	}
	tag := strings.TrimPrefix(strings.Join(parts[:len(parts)-2], "-"), "v")
	if since := parts[len(parts)-2]; since != "0" {
		return tag + "+" + since + "." + parts[len(parts)-1]
	}
	return tag
}

// packaged is the version as dpkg and rpm order it: what follows "~" comes before what does not.
func (r *release) packaged() string { return strings.Replace(r.version, "-", "~", 1) }
