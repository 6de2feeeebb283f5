//go:build linux

package secret_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/internal/secret"
)

// cli writes a program that behaves as one of the cloud providers': it writes down how it was called, wants the variable
// that the real one cannot do without, and says on standard error what it lacks.
func cli(t *testing.T, need, lack, status string) (path, record string) {
	t.Helper()
	dir := t.TempDir()
	path, record = filepath.Join(dir, "cli"), filepath.Join(dir, "record")
	write(t, path, `#!/bin/sh
for word in "$@"; do echo "argv $word"; done >`+record+`
/usr/bin/env | /bin/grep -v -e ^PWD= -e ^_= -e ^SHLVL= | /usr/bin/sort >>`+record+`
[ -n "$`+need+`" ] || { echo "`+lack+`" >&2; exit `+status+`; }
echo `+canary+"\n", 0o700)
	return path, record
}

// The statuses are those of the real ones: aws 253 where its configuration is wrong, vault 2 where the server fails, gcloud 1.
func TestCommandLinesOfTheClouds(t *testing.T) {
	aws, awsRecord := cli(t, "AWS_REGION", "You must specify a region.", "253")
	vault, vaultRecord := cli(t, "VAULT_ADDR", "connection refused", "2")
	gcloud, gcloudRecord := cli(t, "HOME", "You do not currently have an active account selected.", "1")
	agent := map[string]string{
		"HOME": "/var/lib/windsock", "VAULT_ADDR": "https://vault.example:8200", "VAULT_TOKEN": "hvs.canary-of-vault", "MISTRAL_API_KEY": canary, "LANG": "fr_FR",
	}
	base := []string{"HOME=/var/lib/windsock", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for name, tt := range map[string]struct {
		ref    secret.Ref
		record string
		argv   []string
		env    []string // beside base
		want   string   // the error; "" is the value
	}{
		"aws with its region": {
			secret.Ref{Command: []string{aws, "secretsmanager", "get-secret-value", "--secret-id", "mistral", "--query", "SecretString", "--output", "text"}, Variables: []string{"AWS_REGION=eu-west-3"}},
			awsRecord,
			[]string{"secretsmanager", "get-secret-value", "--secret-id", "mistral", "--query", "SecretString", "--output", "text"},
			[]string{"AWS_REGION=eu-west-3"},
			"",
		},
		"aws without": {
			secret.Ref{Command: []string{aws, "secretsmanager", "get-secret-value"}},
			awsRecord,
			[]string{"secretsmanager", "get-secret-value"},
			nil, "exit status 253",
		},
		"vault with the agent's address and token": {
			secret.Ref{Command: []string{vault, "kv", "get", "-field=key", "secret/mistral"}, Variables: []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE"}},
			vaultRecord,
			[]string{"kv", "get", "-field=key", "secret/mistral"},
			[]string{"VAULT_ADDR=https://vault.example:8200", "VAULT_TOKEN=hvs.canary-of-vault"},
			"",
		},
		"vault without": {
			secret.Ref{Command: []string{vault, "kv", "get", "-field=key", "secret/mistral"}},
			vaultRecord,
			[]string{"kv", "get", "-field=key", "secret/mistral"},
			nil, "exit status 2",
		},
		"gcloud, whose home is the agent's": {
			secret.Ref{Command: []string{gcloud, "secrets", "versions", "access", "latest", "--secret=mistral"}},
			gcloudRecord,
			[]string{"secrets", "versions", "access", "latest", "--secret=mistral"},
			nil, "",
		},
		"gcloud with a home and a path of its own": {
			secret.Ref{Command: []string{gcloud, "secrets"}, Variables: []string{"HOME=/srv/gcloud", "PATH=/opt/google/bin", "HOME=/twice"}},
			gcloudRecord,
			[]string{"secrets"},
			[]string{"HOME=/srv/gcloud", "LANG=C.UTF-8", "PATH=/opt/google/bin"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			scrubber := secret.NewScrubber()
			s := newSecret(t, secret.Options{
				Getenv: func(k string) string { return agent[k] }, Log: slog.New(slog.NewTextHandler(&log, nil)), Scrubber: scrubber,
			}, tt.ref)
			if tt.want != "" {
				refused(t, s, tt.want)
			} else if got, err := s.Reveal(t.Context()); got != canary || err != nil {
				t.Errorf("got %q, %v, want the value", got, err)
			}
			data, err := os.ReadFile(tt.record)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]string, 0, 20)
			for _, word := range tt.argv {
				want = append(want, "argv "+word)
			}
			env := append(slices.Clone(base), tt.env...)
			if len(tt.env) == len(base) {
				env = tt.env
			}
			slices.Sort(env)
			want = append(want, env...)
			if got := strings.Split(strings.TrimSpace(string(data)), "\n"); !slices.Equal(got, want) {
				t.Errorf("the program got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if passed := slices.Contains(tt.ref.Variables, "VAULT_TOKEN"); passed && strings.Contains(scrubber.String("token hvs.canary-of-vault"), "canary") {
				t.Error("the token that is passed on is not kept out of the log")
			}
		})
	}
}

// A renewal that fails leaves the key that works; one that comes brings the new one; the target's refusal asks past it.
func TestRefresh(t *testing.T) {
	dir := t.TempDir()
	answer, count := filepath.Join(dir, "answer"), filepath.Join(dir, "count")
	write(t, answer, canary, 0o600)
	ref := script(t, `echo run >> "$2"; exec /bin/cat "$1"`, answer, count)
	ref.Refresh = time.Hour
	var log bytes.Buffer
	s := newSecret(t, secret.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, ref)
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		check := func(want string, more int) {
			t.Helper()
			runs += more
			if got, err := s.Reveal(t.Context()); got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			if data, err := os.ReadFile(count); err != nil || strings.Count(string(data), "run\n") != runs {
				t.Errorf("got %q, %v, want %d runs", data, err, runs)
			}
		}
		check(canary, 1)
		time.Sleep(59 * time.Minute)
		check(canary, 0)
		write(t, answer, "second-"+canary, 0o600)
		time.Sleep(2 * time.Minute)
		check("second-"+canary, 1)
		if err := os.Remove(answer); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		check("second-"+canary, 1)
		check("second-"+canary, 0) // not again at once
		time.Sleep(6 * time.Second)
		check("second-"+canary, 1)
		if changed, err := s.Renew(t.Context()); changed || err == nil {
			t.Errorf("refused, and no other key: got %v, %v, want the error", changed, err)
		}
	})
	if !strings.Contains(log.String(), "the value of before is used on: exit status 1") || strings.Contains(log.String(), canary) {
		t.Errorf("got log %s", &log)
	}
}
