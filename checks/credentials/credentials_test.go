package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/credentials"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/secret"
)

const (
	key   = "canary-key-4711-abcdef"
	other = "canary-other-0815-fedcba"
)

// door answers each key with a status, 401 for those that it does not know, and tells every key that it has seen.
func door(statuses map[string]int) http.HandlerFunc {
	var seen sync.Map
	return func(w http.ResponseWriter, r *http.Request) {
		sent := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		seen.Store(sent, true)
		switch status := statuses[sent]; status {
		case 0:
			w.WriteHeader(http.StatusUnauthorized)
			seen.Range(func(known, _ any) bool {
				_, err := fmt.Fprintf(w, "no good: %s\n", known)
				return err == nil
			})
		case http.StatusOK:
			_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
		default:
			w.WriteHeader(status)
		}
	}
}

func TestTheKindPassesTheSuite(t *testing.T) {
	at := func(url string) func(t *testing.T) checktest.Case {
		return func(t *testing.T) checktest.Case {
			t.Helper()
			if url == "" {
				url = outboundtest.Serve(t, door(map[string]int{key: 200, other: 200}))
			}
			return checktest.Case{Params: "require_fallback: true", Env: checks.Env{Provider: mistraltest.Keyed(t, url, checktest.Secret(key), checktest.Secret(other))}}
		}
	}
	checktest.Run(t, credentials.Kind(), checktest.Options{
		Key:    key,
		Good:   func(t *testing.T) checktest.Case { t.Helper(); return at("")(t) },
		Absent: func(t *testing.T) checktest.Case { t.Helper(); return at("http://" + outboundtest.Refused(t))(t) },
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			c := at(url)(t)
			c.Reached = reached
			return c
		},
		Refused: map[string]string{
			"a negative age":        "max_age: -1s",
			"a number for an age":   "max_age: many",
			"a text for a decision": "require_fallback: perhaps",
		},
	})
}

func run(t *testing.T, params string, statuses map[string]int, primary, fallback checks.Secret) checks.Result {
	t.Helper()
	provider := mistraltest.Keyed(t, outboundtest.Serve(t, door(statuses)), primary, fallback)
	check, err := credentials.Kind().New(checktest.Decoder(params, ""), checks.Env{Provider: provider})
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", r); strings.Contains(text, "canary") {
		t.Errorf("a key is in %s", text)
	}
	return r
}

// numbers are the key's measurements, as "valid primary=1".
func numbers(t *testing.T, r checks.Result) string {
	t.Helper()
	var all []string
	for _, m := range r.Measurements {
		if _, listed := exporters.Lookup(m.Name); !listed {
			t.Errorf("%s is not in the catalogue", m.Name)
		}
		if name, ok := strings.CutPrefix(m.Name, "probe.key."); ok && name != "age" {
			all = append(all, strings.Join(strings.Fields(name+" "+m.Attrs["key"]), " ")+fmt.Sprintf("=%g", m.Value))
		}
	}
	return strings.Join(all, ", ")
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	unreadable := checks.NewSecret(broken{})
	for name, test := range map[string]struct {
		params            string
		statuses          map[string]int
		primary, fallback checks.Secret
		status            checks.Status
		cause             checks.Cause
		summary, numbers  string
	}{
		"one key that is accepted": {
			statuses: map[string]int{key: 200},
			status:   checks.OK, summary: "the key is accepted", numbers: "valid primary=1",
		},
		"one key where two are wanted": {
			params: "require_fallback: true", statuses: map[string]int{key: 200},
			status: checks.Degraded, cause: checks.CauseConfig, summary: "there is no fallback key: give the provider a fallback_api_key", numbers: "valid primary=1",
		},
		"one key that is refused": {
			status: checks.Failed, cause: checks.CauseAuth, summary: "the primary key is refused (401)", numbers: "valid primary=0",
		},
		"one key whose age nobody knows": {
			params: "max_age: 48h", statuses: map[string]int{key: 200}, status: checks.Degraded, cause: checks.CauseConfig,
			summary: "the age of the primary key is not known (the test): max_age needs a file", numbers: "valid primary=1",
		},
		"both accepted": {
			statuses: map[string]int{key: 200, other: 200}, fallback: checktest.Secret(other),
			status: checks.OK, summary: "both keys are accepted", numbers: "valid primary=1, valid fallback=1, same=0",
		},
		"the fallback key is dead": {
			statuses: map[string]int{key: 200}, fallback: checktest.Secret(other),
			status: checks.Degraded, cause: checks.CauseAuth, summary: "the fallback key is refused (401)", numbers: "valid primary=1, valid fallback=0, same=0",
		},
		"the primary key is dead": {
			statuses: map[string]int{other: 200}, fallback: checktest.Secret(other), status: checks.Failed, cause: checks.CauseAuth,
			summary: "the primary key is refused (401), the fallback key is accepted: the key is at fault, not the service",
			numbers: "valid primary=0, valid fallback=1, same=0",
		},
		"both are dead": {
			fallback: checktest.Secret(other), status: checks.Failed, cause: checks.CauseAuth,
			summary: "the primary key is refused (401); the fallback key is refused (401)", numbers: "valid primary=0, valid fallback=0, same=0",
		},
		"both are one": {
			statuses: map[string]int{key: 200}, fallback: checktest.Secret(key), status: checks.Degraded, cause: checks.CauseConfig,
			summary: "the fallback key is the primary one: when that is refused, so is this", numbers: "valid primary=1, valid fallback=1, same=1",
		},
		"the fallback key cannot be read": {
			statuses: map[string]int{key: 200}, fallback: unreadable, status: checks.Degraded, cause: checks.CauseConfig,
			summary: "the fallback key cannot be used: the API key cannot be used: reading it from the test: permission denied", numbers: "valid primary=1",
		},
		"the primary key cannot be read": {
			statuses: map[string]int{other: 200}, primary: unreadable, fallback: checktest.Secret(other), status: checks.Error, cause: checks.CauseConfig,
			summary: "the primary key cannot be used: the API key cannot be used: reading it from the test: permission denied", numbers: "valid fallback=1",
		},
		"a service that is down says nothing of a key": {
			statuses: map[string]int{key: 503, other: 503}, fallback: checktest.Secret(other), status: checks.Unknown, cause: checks.CauseServer,
			summary: "the primary key could not be judged: 503 server; the fallback key could not be judged: 503 server", numbers: "same=0",
		},
		"nobody knows of the fallback key": {
			statuses: map[string]int{key: 200, other: 503}, fallback: checktest.Secret(other), status: checks.Unknown, cause: checks.CauseServer,
			summary: "the fallback key could not be judged: 503 server", numbers: "valid primary=1, same=0",
		},
		"what is known of the primary key outranks all": {
			statuses: map[string]int{key: 503}, fallback: checktest.Secret(other), status: checks.Unknown, cause: checks.CauseServer,
			summary: "the primary key could not be judged: 503 server; the fallback key is refused (401)", numbers: "valid fallback=0, same=0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.primary.IsZero() {
				test.primary = checktest.Secret(key)
			}
			r := run(t, test.params, test.statuses, test.primary, test.fallback)
			if r.Status != test.status || r.Cause != test.cause || r.Summary != test.summary {
				t.Errorf("got %s %s %q, want %s %s %q", r.Status, r.Cause, r.Summary, test.status, test.cause, test.summary)
			}
			if got := numbers(t, r); got != test.numbers {
				t.Errorf("got %q, want %q", got, test.numbers)
			}
		})
	}
}

// broken is a source that cannot be read.
type broken struct{}

func (broken) Read(context.Context) (string, error) { return "", errors.New("permission denied") }
func (broken) Renew(context.Context) (bool, error)  { return false, errors.New("permission denied") }
func (broken) Where() string                        { return "the test" }

func TestAKeyThatNobodyRotates(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := secret.NewResolver(secret.Options{}).Secret(secret.Ref{File: path})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		age  time.Duration
		want checks.Status
	}{
		"young":                             {time.Hour, checks.OK},
		"old":                               {49 * time.Hour, checks.Degraded},
		"of a clock that is a little ahead": {-30 * time.Second, checks.OK},
		"of the future":                     {-time.Hour, checks.Degraded},
	} {
		written := time.Now().Add(-test.age)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		r := run(t, "max_age: 48h", map[string]int{key: 200}, s, checks.Secret{})
		var age float64
		for _, m := range r.Measurements {
			if m.Name == "probe.key.age" {
				age = m.Value
			}
		}
		want := max(test.age, 0).Seconds() // no number reads as 0 here
		if r.Status != test.want || age < want || age > want+3600 {
			t.Errorf("%s: got %s %q at %gs, want %s at %gs", name, r.Status, r.Summary, age, test.want, want)
		}
	}
}

func TestWithoutAProviderThereIsNobodyToAsk(t *testing.T) {
	t.Parallel()
	check, err := credentials.New(credentials.Params{}, checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := check.Run(t.Context()); err == nil || r.Cause != checks.CauseConfig {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := credentials.New(credentials.Params{}, checks.Env{Provider: "a string"}); err == nil {
		t.Error("a provider of the wrong kind was taken")
	}
}
