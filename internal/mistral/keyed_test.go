package mistral_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	oldKey   = "old-4f1b9c27-CANARY"
	newKey   = "new-83ad0e65-CANARY"
	otherKey = "other-c0ffee11-CANARY"
)

// doorman is a careless server that takes some keys, counts who comes and tells every key that it has seen.
type doorman struct {
	mu     sync.Mutex
	status map[string]int // by key; 401 where there is none
	came   map[string]int
	seen   []string
}

func (d *doorman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	d.came[key]++
	d.seen = append(d.seen, key)
	status, seen := d.status[key], fmt.Sprintf("%q", d.seen)
	d.mu.Unlock()
	switch {
	case status == 0:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no good: "+seen)
	case status != http.StatusOK:
		w.WriteHeader(status)
	default:
		_, _ = io.WriteString(w, `{"data":[]}`)
	}
}

func (d *doorman) takes(key string, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status[key] = status
}

// since is how often each key has come since the last question, as "old 1, new 0, other 0".
func (d *doorman) since() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := fmt.Sprintf("old %d, new %d, other %d", d.came[oldKey], d.came[newKey], d.came[otherKey])
	clear(d.came)
	return text
}

// drawer is a source whose value a test changes. It is noticed at once, or only by Renew.
type drawer struct {
	mu          sync.Mutex
	value, next string
	err         error
}

func (s *drawer) Where() string { return "the test" }

func (s *drawer) Read(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, s.err
}

func (s *drawer) Renew(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.next != "" && s.next != s.value
	if changed {
		s.value = s.next
	}
	return changed, nil
}

type stage struct {
	door     *doorman
	primary  *drawer
	fallback *drawer
	keyed    *mistral.Keyed
}

func newStage(t *testing.T, failover bool) *stage {
	t.Helper()
	s := &stage{
		door:    &doorman{status: map[string]int{}, came: map[string]int{}},
		primary: &drawer{value: oldKey}, fallback: &drawer{value: otherKey},
	}
	server := httptest.NewServer(s.door)
	t.Cleanup(server.Close)
	var err error
	s.keyed, err = mistral.NewKeyed(mistral.Options{
		BaseURL: server.URL, APIKey: checks.NewSecret(s.primary), Out: out(t, outbound.Options{}),
	}, checks.NewSecret(s.fallback), failover)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func step(call mistral.Call, name string) string {
	for _, s := range call.Evidence {
		if s.Name == name {
			return fmt.Sprintf("%v %s", s.OK, s.Detail)
		}
	}
	return ""
}

func (s *stage) call(t *testing.T, want checks.Cause, requests string) mistral.Call {
	t.Helper()
	_, call := s.keyed.Models(t.Context())
	if got := s.door.since(); call.Cause != want || got != requests {
		t.Errorf("got %q after %s, want %q after %s: %+v", call.Cause, got, want, requests, call.Evidence)
	}
	if text := fmt.Sprintf("%+v", call); strings.Contains(text, "CANARY") {
		t.Errorf("a key is in %s", text)
	}
	return call
}

func TestARotatedKeyCostsNoCall(t *testing.T) {
	t.Parallel()
	s := newStage(t, false)
	s.door.takes(oldKey, 200)
	if call := s.call(t, "", "old 1, new 0, other 0"); call.KeyUsed != mistral.KeyPrimary || step(call, "rotation") != "" {
		t.Errorf("got %+v", call)
	}
	s.door.takes(oldKey, 0)
	s.door.takes(newKey, 200)
	s.primary.next = newKey
	if call := s.call(t, "", "old 1, new 1, other 0"); call.KeyUsed != mistral.KeyPrimary || step(call, "rotation") == "" {
		t.Errorf("got %+v", call)
	}
	s.call(t, "", "old 0, new 1, other 0")
}

func TestARefusedKeyIsDiagnosedOnceForManyCalls(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		want   string
	}{
		"accepted":      {200, "true the fallback key is accepted: the primary key is at fault, not the service"},
		"refused":       {0, "false the fallback key is refused too (401)"},
		"not judged":    {500, "false the fallback key could not be asked: 500 server"},
		"no permission": {403, "false the fallback key could not be asked: 403 forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, false)
			s.door.takes(otherKey, test.status)
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					_, call := s.keyed.Chat(t.Context(), ping(false))
					if got := step(call, "fallback_key"); got != test.want || call.Cause != checks.CauseAuth || call.KeyUsed != mistral.KeyPrimary {
						t.Errorf("got %q, cause %q, key %q, want %q", got, call.Cause, call.KeyUsed, test.want)
					}
				})
			}
			calls.Wait()
			if got, want := s.door.since(), "old 20, new 0, other 1"; got != want {
				t.Errorf("got %s requests, want %s", got, want)
			}
		})
	}
}

func TestACallIsNeverMoreThanThreeRequests(t *testing.T) {
	t.Parallel()
	for _, failover := range []bool{false, true} {
		s := newStage(t, failover)
		s.primary.next = newKey
		call := s.call(t, checks.CauseAuth, "old 1, new 1, other 1")
		if step(call, "rotation") == "" || step(call, "fallback_key") != "false the fallback key is refused too (401)" {
			t.Errorf("failover %v: got %+v", failover, call.Evidence)
		}
	}
}

func TestAFallbackKeyThatTellsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, false)
	s.fallback.value = oldKey
	if got := step(s.call(t, checks.CauseAuth, "old 1, new 0, other 0"), "fallback_key"); !strings.Contains(got, "is the primary one") {
		t.Errorf("the same key: got %q", got)
	}
	s = newStage(t, false)
	s.fallback.err = errors.New("permission denied")
	if got := step(s.call(t, checks.CauseAuth, "old 1, new 0, other 0"), "fallback_key"); got != "false the fallback key could not be asked: config" {
		t.Errorf("no key: got %q", got)
	}
}

func TestWithoutAFallbackKeyA401StaysAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t, true)
	alone, err := mistral.NewKeyed(mistral.Options{
		BaseURL: strings.TrimSuffix(s.keyed.BaseURL(), "/v1"), APIKey: checks.NewSecret(s.primary), Out: out(t, outbound.Options{}),
	}, checks.Secret{}, true)
	if err != nil {
		t.Fatal(err)
	}
	s.keyed = alone
	if call := s.call(t, checks.CauseAuth, "old 1, new 0, other 0"); step(call, "fallback_key") != "" {
		t.Errorf("got %+v", call.Evidence)
	}
	if same, err := alone.SameKey(t.Context()); same || err != nil || len(alone.Keys()) != 1 {
		t.Errorf("got %v, %v, %d keys", same, err, len(alone.Keys()))
	}
}

func TestFailoverMakesTheCallWithTheFallbackKeyUntilTheFirstIsReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t, true)
	s.door.takes(otherKey, 200)
	for _, requests := range []string{"old 1, new 0, other 1", "old 0, new 0, other 1"} {
		if call := s.call(t, "", requests); call.KeyUsed != mistral.KeyFallback || step(call, "fallback_key") == "" {
			t.Errorf("got %+v", call)
		}
	}
	s.door.takes(newKey, 200)
	s.primary.mu.Lock()
	s.primary.value = newKey
	s.primary.mu.Unlock()
	if call := s.call(t, "", "old 0, new 1, other 0"); call.KeyUsed != mistral.KeyPrimary {
		t.Errorf("got %+v", call)
	}
}

func TestFailoverWithAFallbackKeyThatDiesAsksTheFirstAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t, true)
	s.door.takes(otherKey, 200)
	s.call(t, "", "old 1, new 0, other 1")
	s.door.takes(otherKey, 0)
	s.door.takes(oldKey, 200)
	if call := s.call(t, "", "old 1, new 0, other 1"); call.KeyUsed != mistral.KeyPrimary || step(call, "fallback_key") == "" {
		t.Errorf("got %+v", call)
	}
	s.call(t, "", "old 1, new 0, other 0")
}

func TestFailoverTellsWhatTheServiceSaidToTheFallbackKey(t *testing.T) {
	t.Parallel()
	s := newStage(t, true)
	s.door.takes(otherKey, 503)
	if call := s.call(t, checks.CauseServer, "old 1, new 0, other 1"); call.KeyUsed != mistral.KeyFallback || call.Status != 503 {
		t.Errorf("got %+v", call)
	}
}

func TestEachKeyIsLookedAtByItself(t *testing.T) {
	t.Parallel()
	s := newStage(t, true)
	s.door.takes(otherKey, 200)
	keys := s.keyed.Keys()
	if len(keys) != 2 || keys[0].Name != mistral.KeyPrimary || keys[1].Name != mistral.KeyFallback {
		t.Fatalf("got %d keys", len(keys))
	}
	for i, want := range []checks.Cause{checks.CauseAuth, ""} {
		if _, call := keys[i].Models(t.Context()); call.Cause != want || call.KeyUsed != keys[i].Name {
			t.Errorf("%s: got %q with %q, want %q", keys[i].Name, call.Cause, call.KeyUsed, want)
		}
	}
	if got, want := s.door.since(), "old 1, new 0, other 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if same, err := s.keyed.SameKey(t.Context()); same || err != nil {
		t.Errorf("got %v, %v", same, err)
	}
}

// porter answers by key, without a network, and counts.
type porter struct{ status, came map[string]int }

func (p *porter) Open(_ context.Context, req outbound.Request) (*outbound.Response, error) {
	key := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	p.came[key]++
	return &outbound.Response{Status: p.status[key], Header: http.Header{}, Body: body{strings.NewReader(`{"data":[]}`)}}, nil
}

type body struct{ io.Reader }

func (body) Close() error              { return nil }
func (body) Timings() outbound.Timings { return outbound.Timings{Reused: true} }

// visits makes a call at each of the times and tells how often each key came in it, as "old+other".
func visits(t *testing.T, failover bool, status map[string]int, times ...time.Duration) string {
	t.Helper()
	p := &porter{status: status}
	k, err := mistral.NewKeyed(mistral.Options{BaseURL: "http://api.test", APIKey: checks.NewSecret(&drawer{value: oldKey}), Out: p},
		checks.NewSecret(&drawer{value: otherKey}), failover)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	began := time.Now()
	for _, at := range times {
		time.Sleep(at - time.Since(began))
		p.came = map[string]int{}
		k.Models(t.Context())
		all = append(all, fmt.Sprintf("%d+%d", p.came[oldKey], p.came[otherKey]))
	}
	return strings.Join(all, " ")
}

func TestHowLongWhatWasFoundIsKept(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		failover bool
		status   map[string]int
		times    []time.Duration
		want     string
	}{
		"a diagnosis counts for ten seconds": {
			false, map[string]int{oldKey: 401, otherKey: 200}, []time.Duration{0, 9 * time.Second, 11 * time.Second, 20 * time.Second}, "1+1 1+0 1+1 1+0",
		},
		"one that found nothing too": {
			false, map[string]int{oldKey: 401, otherKey: 503}, []time.Duration{0, 9 * time.Second, 11 * time.Second}, "1+1 1+0 1+1",
		},
		"calls that fail over ask with the first key every thirty seconds": {
			true, map[string]int{oldKey: 401, otherKey: 200}, []time.Duration{0, 29 * time.Second, 31 * time.Second, 32 * time.Second, 62 * time.Second}, "1+1 0+1 1+1 0+1 1+1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if got := visits(t, test.failover, test.status, test.times...); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestTheEvidenceHoldsEveryRequestOfACall(t *testing.T) {
	t.Parallel()
	names := func(call mistral.Call) string {
		var all []string
		for _, s := range call.Evidence {
			if s.Name == "key" || s.Name == "status" || s.Name == "rotation" || s.Name == "fallback_key" {
				all = append(all, fmt.Sprintf("%s=%v", s.Name, s.OK))
			}
		}
		return strings.Join(all, " ")
	}
	s := newStage(t, true)
	s.door.takes(otherKey, 200)
	s.primary.next = newKey
	const want = "key=true status=false rotation=true key=true status=false fallback_key=true key=true status=true"
	if got := names(s.call(t, "", "old 1, new 1, other 1")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
