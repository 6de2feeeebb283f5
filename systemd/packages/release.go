package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// release is one version of the source.
type release struct {
	root    string   // the checkout
	environ []string // of the programs that are started
	version string   // as `windsock version` prints it: 1.2.3, 1.2.3-rc.1, 1.2.3+4.gabcdef012345
	commit  string
	date    time.Time // of the commit, or SOURCE_DATE_EPOCH: the time of every file
}

// newRelease asks git what VERSION and SOURCE_DATE_EPOCH do not say.
func newRelease(ctx context.Context, root string, environ []string) (*release, error) {
	r := &release{root: root, environ: environ, version: strings.TrimPrefix(variable(environ, "VERSION"), "v")}
	head, headErr := r.git(ctx, "log", "-1", "--format=%H %ct")
	commit, stamp, _ := strings.Cut(head, " ")
	r.commit = commit
	stamp = cmp.Or(variable(environ, "SOURCE_DATE_EPOCH"), stamp)
	if stamp == "" {
		return nil, errors.New("this is no git checkout: set SOURCE_DATE_EPOCH, in seconds since 1970")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH is %q, want seconds since 1970", stamp)
	}
	r.date = time.Unix(seconds, 0).UTC()
	if r.version == "" {
		if headErr != nil {
			return nil, errors.New("this is no git checkout: set VERSION, as in VERSION=1.2.3")
		}
		described, _ := r.git(ctx, "describe", "--tags", "--match", "v[0-9]*", "--long", "--abbrev=12") // an error where there is no tag yet
		_, changed := r.git(ctx, "diff", "--quiet", "HEAD", "--")
		r.version = versionOf(described, commit, r.date, changed != nil)
	}
	return r, r.usable()
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", r.root}, args...)...).Output() //nolint:gosec // words of ours
	return strings.TrimSpace(string(out)), err
}

// versionOf makes a version of what `git describe --long` says: v1.2.3-0-gabc is 1.2.3, and four commits later it is
// 1.2.3+4.gabc, newer than 1.2.3 and older than 1.2.4. Before the first tag it is a pre-release of 0.0.0, by date.
// Files that differ from the commit are said, too.
func versionOf(described, commit string, date time.Time, changed bool) string {
	version := fmt.Sprintf("0.0.0-dev.%s.g%.12s", date.Format("20060102150405"), commit)
	if parts := strings.Split(described, "-"); len(parts) > 2 {
		n := len(parts)
		version = strings.TrimPrefix(strings.Join(parts[:n-2], "-"), "v")
		if since := parts[n-2]; since != "0" {
			version += "+" + since + "." + parts[n-1]
		}
	}
	if !changed {
		return version
	}
	if strings.Contains(version, "+") {
		return version + ".changed"
	}
	return version + "+changed"
}

// usable refuses a version that dpkg, rpm or a file name would not take.
func (r *release) usable() error {
	if r.version == "" || r.version[0] < '0' || r.version[0] > '9' {
		return fmt.Errorf("VERSION is %q, want it to begin with a digit, as in 1.2.3 or 1.2.3-rc.1", r.version)
	}
	for _, c := range r.version {
		if !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-~", c) {
			return fmt.Errorf("VERSION is %q, want letters, digits, and . + - ~", r.version)
		}
	}
	return nil
}

// packaged is the version as dpkg and rpm order it: what follows "~" comes before what does not, and "-" begins what a
// distribution adds.
func (r *release) packaged() string {
	version := strings.Replace(r.version, "-", "~", 1)
	return strings.ReplaceAll(version, "-", ".")
}

// variable is the last value of a variable of environ.
func variable(environ []string, name string) string {
	value := ""
	for _, line := range environ {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			value = v
		}
	}
	return value
}
