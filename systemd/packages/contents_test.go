//go:build packages

package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTwoBuildsAreTheSame(t *testing.T) {
	t.Parallel()
	first, err := os.ReadDir(built.first)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range first {
		names = append(names, f.Name())
		one, err := os.ReadFile(filepath.Join(built.first, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(filepath.Join(built.second, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, other) {
			t.Errorf("%s: two builds differ, of %d and %d bytes", f.Name(), len(one), len(other))
		}
	}
	want := []string{"SHA256SUMS"}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, format := range []string{"cdx.json", "deb", "rpm", "tar.gz"} {
			want = append(want, built.release.named(arch, format))
		}
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("built are %v, want %v", names, want)
	}
}

func TestChecksumsAreRight(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = built.first
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), ": OK") != 8 {
		t.Errorf("%v, want 8 files that are right:\n%s", err, out)
	}
}

// What a package holds, but for manual pages. Everything in /usr is 0755 or 0644.
func installed() map[string]string {
	return map[string]string{
		"/usr/bin/windsock": "-rwxr-xr-x",
		"/etc/windsock":     "drwxr-x---", "/etc/windsock/secrets": "drwxr-x---", "/etc/windsock/schedules.yaml": "-rw-r-----",
		"/etc/default/windsock": "-rw-r--r--", "/usr/lib/windsock/plugins": "drwxr-xr-x", "/usr/lib/windsock/restart": "-rwxr-xr-x",
		"/usr/lib/systemd/system/windsock.service": "-rw-r--r--", "/usr/lib/systemd/system/windsock@.service": "-rw-r--r--",
		"/usr/lib/sysusers.d/windsock.conf":  "-rw-r--r--",
		"/usr/share/windsock/schedules.yaml": "-rw-r--r--", "/usr/share/windsock/schedules.schema.json": "-rw-r--r--",
		"/usr/share/windsock/drop-ins/plugins.conf":          "-rw-r--r--",
		"/usr/share/bash-completion/completions/windsock":    "-rw-r--r--",
		"/usr/share/fish/vendor_completions.d/windsock.fish": "-rw-r--r--",
		"/usr/share/man/man1/windsock.1.gz":                  "-rw-r--r--",
		"/usr/share/man/man5/schedules.yaml.5.gz":            "-rw-r--r--",
		"/usr/share/doc/windsock/third-party-licenses.gz":    "-rw-r--r--",
		"/usr/share/doc/windsock/docs/configuration.md":      "-rw-r--r--",
		"/usr/share/doc/windsock/docs/operations/install.md": "-rw-r--r--",
		"/usr/share/doc/windsock/docs/runbook/api-down.md":   "-rw-r--r--",
	}
}

func TestDebHoldsWhatItShould(t *testing.T) {
	t.Parallel()
	want := installed()
	for _, path := range []string{
		"/usr/share/zsh/vendor-completions/_windsock", "/usr/share/doc/windsock/changelog.gz", "/usr/share/doc/windsock/copyright",
		"/usr/share/lintian/overrides/windsock",
	} {
		want[path] = "-rw-r--r--"
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for arch, machine := range machines {
		got := inDeb(t, arch)
		for path, mode := range want {
			if got[path].mode != mode {
				t.Errorf("%s: %s has mode %q, want %q", arch, path, got[path].mode, mode)
			}
		}
		for path, e := range got {
			if strings.HasPrefix(path, "/etc/windsock/secrets/") || strings.HasPrefix(path, "/usr/lib/windsock/plugins/") || strings.HasPrefix(path, "/var") {
				t.Errorf("%s: %s is in the package", arch, path)
			}
			if _, listed := want[path]; !listed && e.mode != "drwxr-xr-x" && e.mode != "-rw-r--r--" {
				t.Errorf("%s: %s has mode %s", arch, path, e.mode)
			}
		}
		binary, err := elf.NewFile(bytes.NewReader(got["/usr/bin/windsock"].data))
		if err != nil || binary.Machine != machine || binary.Section(".interp") != nil {
			t.Errorf("%s: the binary is for %v (%v), want %v without a loader", arch, binary, err, machine)
		}
		if !bytes.Equal(got["/etc/windsock/schedules.yaml"].data, got["/usr/share/windsock/schedules.yaml"].data) {
			t.Errorf("%s: the configuration is not what /usr/share/windsock has", arch)
		}
	}
}

func TestControlOfTheDeb(t *testing.T) {
	t.Parallel()
	for _, arch := range []string{"amd64", "arm64"} {
		for field, want := range map[string]string{
			"Package": "windsock", "Version": built.release.packaged(), "Architecture": arch, "Depends": "passwd",
			"Recommends": "ca-certificates", "Homepage": "https://github.com/windsock-monitor/windsock",
		} {
			if got := strings.TrimSpace(said(t, "dpkg-deb", "--field", file(arch, "deb"), field)); got != want {
				t.Errorf("%s: %s is %q, want %q", arch, field, got, want)
			}
		}
	}
	if got, want := said(t, "dpkg-deb", "--info", file("amd64", "deb"), "conffiles"), "/etc/default/windsock\n/etc/windsock/schedules.yaml\n"; got != want {
		t.Errorf("conffiles are %q, want %q", got, want)
	}
}

func TestLintianIsContent(t *testing.T) {
	t.Parallel()
	// unused overrides are information, and count here
	out := said(t, "lintian", "--allow-root", "--info", "--display-info", "--fail-on", "none", file("amd64", "deb"))
	for _, line := range regexp.MustCompile(`(?m)^([EW]:|I: windsock: (unused|mismatched)-override).*$`).FindAllString(out, -1) {
		t.Error(line)
	}
}

func TestEveryOverrideIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(checkout, "systemd/lintian-overrides"))
	if err != nil {
		t.Fatal(err)
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if !strings.HasPrefix(paragraph, "# ") || len(strings.SplitN(paragraph, "\nwindsock: ", 2)) != 2 {
			t.Errorf("no words before the override, or no override after the words:\n%s", paragraph)
		}
	}
}

func TestRpmHoldsWhatItShould(t *testing.T) {
	t.Parallel()
	want := installed()
	for _, path := range []string{"/usr/share/zsh/site-functions/_windsock", "/usr/share/doc/windsock/CHANGELOG.md", "/usr/share/licenses/windsock/LICENSE"} {
		want[path] = "-rw-r--r--"
	}
	group := map[string]string{"/etc/windsock": "windsock", "/etc/windsock/secrets": "windsock", "/etc/windsock/schedules.yaml": "windsock"}
	for arch, machine := range map[string]string{"amd64": "x86_64", "arm64": "aarch64"} {
		rpm := file(arch, "rpm")
		got := map[string]bool{}
		for line := range strings.Lines(said(t, "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME}\n]", rpm)) {
			f := strings.Fields(line)
			if len(f) != 4 {
				t.Fatalf("a line of rpm: %q", line)
			}
			path, mode := f[0], f[1]
			got[path] = true
			if w, ok := want[path]; ok && mode != w || !ok && mode != "-rw-r--r--" && mode != "drwxr-xr-x" {
				t.Errorf("%s: %s has mode %s", arch, path, mode)
			}
			if w := group[path]; f[2] != "root" || f[3] != "root" && f[3] != w || w != "" && f[3] != w {
				t.Errorf("%s: %s belongs to %s:%s", arch, path, f[2], f[3])
			}
			if path == "/usr" || path == "/usr/bin" || path == "/etc" || path == "/usr/lib/systemd/system" {
				t.Errorf("%s: the rpm owns %s, which is the system's", arch, path)
			}
		}
		for path := range want {
			if !got[path] {
				t.Errorf("%s: %s is not in the rpm", arch, path)
			}
		}
		if head, want := said(t, "rpm", "-qp", "--queryformat", "%{NAME} %{VERSION} %{ARCH} %{LICENSE} %{BUILDHOST}", rpm), "windsock "+built.release.packaged()+" "+machine+" Apache-2.0 localhost"; head != want {
			t.Errorf("%s: the rpm is %q, want %q", arch, head, want)
		}
		if got, want := said(t, "rpm", "-qp", "--configfiles", rpm), "/etc/default/windsock\n/etc/windsock/schedules.yaml\n"; got != want {
			t.Errorf("%s: configuration files are %q, want %q", arch, got, want)
		}
	}
}

func TestRelationsOfTheRpm(t *testing.T) {
	t.Parallel()
	rpm := file("amd64", "rpm")
	for line := range strings.Lines(said(t, "rpm", "-qp", "--requires", rpm)) {
		switch name := strings.Fields(line)[0]; {
		case name == "/usr/sbin/groupadd", name == "/usr/sbin/useradd", strings.HasPrefix(name, "rpmlib("), name == "/bin/sh":
		default:
			t.Errorf("the rpm requires %s", name)
		}
	}
	if got := said(t, "rpm", "-qp", "--conflicts", "--obsoletes", rpm); strings.TrimSpace(got) != "" {
		t.Errorf("the rpm conflicts with or obsoletes %s", got)
	}
	if got := said(t, "rpm", "-qp", "--recommends", rpm); strings.TrimSpace(got) != "ca-certificates" {
		t.Errorf("the rpm recommends %q, want ca-certificates", got)
	}
	scripts := said(t, "rpm", "-qp", "--scripts", rpm)
	for _, want := range []string{"preinstall scriptlet (using /bin/sh)", "postinstall scriptlet (using /bin/sh)", "preuninstall scriptlet (using /bin/sh)", "postuninstall scriptlet (using /bin/sh)"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("the rpm has no %s", want)
		}
	}
	if got := said(t, "rpm", "--checksig", "--nosignature", rpm); !strings.Contains(got, "digests OK") {
		t.Errorf("rpm says of the digests: %s", got)
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	t.Parallel()
	var versions []string
	for _, v := range []string{
		"0.0.0-dev.20261128075048.gffffffffffff", "0.0.0-dev.20261128075049.g000000000000", "0.0.0-dev.20261128075049.g000000000000+changed",
		"1.2.3-rc.1", "1.2.3-rc.1+2.gabcdef012345", "1.2.3-rc.2", "1.2.3", "1.2.3+4.gabcdef012345", "1.2.3+10.gabcdef012345", "1.2.4-rc.1", "1.2.4", "1.10.0",
	} {
		versions = append(versions, (&release{version: v}).packaged())
	}
	for i := range versions[1:] {
		older, newer := versions[i], versions[i+1]
		if err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", older, "lt", newer).Run(); err != nil {
			t.Errorf("dpkg does not take %s for older than %s", older, newer)
		}
		if got := strings.TrimSpace(said(t, "rpm", "--eval", `%{lua:print(rpm.vercmp("`+older+`", "`+newer+`"))}`)); got != "-1" {
			t.Errorf("rpm compares %s with %s: %s, want -1", older, newer, got)
		}
	}
}

func TestVersionSaysCommitAndDate(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "windsock")
	data := inDeb(t, "amd64")["/usr/bin/windsock"].data
	if err := os.WriteFile(binary, data, 0o700); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version string `json:"version"`
		Commit  string `json:"commit"`
		Date    string `json:"date"`
		Target  string `json:"target"`
	}
	if err := json.Unmarshal([]byte(said(t, binary, "version", "--output", "json")), &got); err != nil {
		t.Fatal(err)
	}
	r := built.release
	if got.Version != r.version || got.Commit != r.commit || got.Date != r.date.Format("2006-01-02T15:04:05Z") || got.Target != "linux/amd64" {
		t.Errorf("version says %+v, want %s, %s, %s", got, r.version, r.commit, r.date)
	}
	if text := said(t, binary, "version"); !strings.Contains(text, "commit "+r.commit+" of ") {
		t.Errorf("version prints %q, want the commit in it", text)
	}
	if help, err := exec.CommandContext(t.Context(), binary, "manual", t.TempDir()).CombinedOutput(); err == nil {
		t.Errorf("the shipped binary writes manual pages: %s", help)
	}
}

// bill is as much of a CycloneDX document as is looked at.
type bill struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Serial   string `json:"serialNumber"`
	Metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

type component struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	URL      string `json:"purl"`
	Evidence struct {
		Licenses []any `json:"licenses"`
	} `json:"evidence"`
}

func TestMaterialsAreWhatIsLinked(t *testing.T) {
	t.Parallel()
	for _, arch := range []string{"amd64", "arm64"} {
		var bill bill
		text, err := os.ReadFile(file(arch, "cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &bill); err != nil {
			t.Fatal(err)
		}
		if bill.Format != "CycloneDX" || bill.Spec != "1.6" || bill.Serial != "" {
			t.Errorf("%s: %s %s %s, want CycloneDX 1.6 and no serial number", arch, bill.Format, bill.Spec, bill.Serial)
		}
		if m := bill.Metadata; m.Timestamp != built.release.date.Format("2006-01-02T15:04:05Z") || m.Component.Version != "v"+built.release.version {
			t.Errorf("%s: of %+v, want %s of %s", arch, m, built.release.version, built.release.date)
		}
		info, err := buildinfo.Read(bytes.NewReader(inDeb(t, arch)["/usr/bin/windsock"].data))
		if err != nil {
			t.Fatal(err)
		}
		var want, got, unlicensed []string
		for _, m := range info.Deps {
			want = append(want, m.Path+" "+m.Version)
		}
		for _, c := range append(bill.Components, bill.Metadata.Component) {
			if !strings.Contains(c.URL, "goarch="+arch+"&") {
				t.Errorf("%s: %s is for %s", arch, c.Name, c.URL)
			}
		}
		for _, c := range bill.Components {
			if c.Name == "std" {
				continue
			}
			got = append(got, c.Name+" "+c.Version)
			if len(c.Evidence.Licenses) == 0 {
				unlicensed = append(unlicensed, c.Name)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) || len(want) < 20 {
			t.Errorf("%s: the bill names %v, linked are %v", arch, got, want)
		}
		if len(unlicensed) > 0 {
			t.Errorf("%s: no licence found for %v", arch, unlicensed)
		}
		terms := string(unzipped(t, inDeb(t, arch)["/usr/share/doc/windsock/third-party-licenses.gz"].data))
		for _, m := range want {
			if !strings.Contains(terms, "\n"+m+": ") {
				t.Errorf("%s: third-party-licenses.gz has no terms of %s", arch, m)
			}
		}
	}
}

func TestManualPages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pages := map[string]bool{}
	for path, e := range inDeb(t, "amd64") {
		if !strings.HasPrefix(path, "/usr/share/man/") || !strings.HasSuffix(path, ".gz") {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(path), ".gz")
		pages[name] = true
		page := filepath.Join(folder, name)
		if err := os.WriteFile(page, unzipped(t, e.data), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "mandoc", "-T", "lint", "-W", "warning", page).CombinedOutput(); err != nil {
			t.Errorf("mandoc of %s: %v\n%s", name, err, out)
		}
		cmd := exec.CommandContext(t.Context(), "man", "--warnings", "--local-file", page)
		cmd.Env = append(os.Environ(), "MANROFFSEQ=", "MANWIDTH=120", "LC_ALL=C.UTF-8")
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		if out, err := cmd.Output(); err != nil || complaints.Len() > 0 || len(out) < 300 {
			t.Errorf("man of %s: %v, %d bytes\n%s", name, err, len(out), complaints.Bytes())
		}
	}
	for _, want := range []string{"windsock.1", "windsock-run.1", "windsock-validate.1", "windsock-alerts-silence.1", "windsock-plugins-lock.1", "schedules.yaml.5"} {
		if !pages[want] {
			t.Errorf("no page %s", want)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	files := inDeb(t, "amd64")
	for path, want := range map[string]string{
		"/usr/share/bash-completion/completions/windsock":    "__start_windsock",
		"/usr/share/fish/vendor_completions.d/windsock.fish": "complete -c windsock",
		"/usr/share/zsh/vendor-completions/_windsock":        "#compdef windsock",
	} {
		if !bytes.Contains(files[path].data, []byte(want)) {
			t.Errorf("%s has no %q", path, want)
		}
	}
	folder := t.TempDir()
	script := filepath.Join(folder, "completion.bash")
	for path, data := range map[string][]byte{script: files["/usr/share/bash-completion/completions/windsock"].data, filepath.Join(folder, "windsock"): files["/usr/bin/windsock"].data} {
		if err := os.WriteFile(path, data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got := said(t, "bash", "-c", `PATH=$1:$PATH; . "$0"; COMP_WORDS=(windsock vali); COMP_CWORD=1; COMP_LINE="windsock vali"; COMP_POINT=13; COMP_TYPE=9
		_init_completion() { cur=vali; prev=windsock; words=("${COMP_WORDS[@]}"); cword=1; }
		__start_windsock 2>/dev/null; echo "${COMPREPLY[@]}"`, script, folder)
	if strings.TrimSpace(got) != "validate" {
		t.Errorf("bash completes vali to %q, want validate", got)
	}
}
