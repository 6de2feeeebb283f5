package mirage_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mirage"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func world(t *testing.T) (*mirage.World, *outbound.Network) {
	t.Helper()
	w, err := mirage.New([]string{"api.example", "192.0.2.1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	network, err := outbound.New(outbound.Options{Detour: w.Detour(), HTTPSProxy: "http://proxy.example:3128"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		network.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, network
}

// ask is the status of an answer, or the failure; key "" is none.
func ask(t *testing.T, network *outbound.Network, url, key string) (int, string, *outbound.Failure) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	header := http.Header{}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	answer, err := network.Open(ctx, outbound.Request{Method: http.MethodGet, URL: url, Header: header})
	if err != nil {
		failure, ok := errors.AsType[*outbound.Failure](err)
		if !ok {
			t.Fatalf("%v is no failure", err)
		}
		return 0, "", failure
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	return answer.Status, string(body), nil
}

func TestAHealthyWorldAnswers(t *testing.T) {
	w, network := world(t)
	for name, tt := range map[string]struct {
		url, key string
		status   int
		holds    string
	}{
		"the provider, over TLS":         {"https://api.example/v1/models", w.Keys().Primary, 200, "mistral-small-latest"},
		"the provider, by its address":   {"https://192.0.2.1:8443/v1/models", w.Keys().Fallback, 200, "mistral-small-latest"},
		"the provider, without TLS":      {"http://api.example:9000/v1/models", w.Keys().Primary, 200, "mistral-small-latest"},
		"the provider, with another key": {"https://api.example/v1/models", "canary-real-key", 401, ""},
		"an application":                 {"http://app.example/health", "canary-real-key", 200, `"healthy"`},
	} {
		status, body, failure := ask(t, network, tt.url, tt.key)
		if failure != nil || status != tt.status || !strings.Contains(body, tt.holds) {
			t.Errorf("%s: got %d %.80q, %v; want %d and %q", name, status, body, failure, tt.status, tt.holds)
		}
	}
}

func TestFaultsLookAsTheyDoOutside(t *testing.T) {
	t.Parallel()
	provider, all := []string{mirage.HostProvider}, []string{mirage.HostAll}
	for name, tt := range map[string]struct {
		fault  mirage.Fault
		cause  checks.Cause
		reason string
		app    bool // goes wrong too
	}{
		"no such name":           {mirage.Fault{DNS: &mirage.Unresolved{Hosts: provider}}, checks.CauseDNS, "nxdomain", false},
		"a resolver that fails":  {mirage.Fault{DNS: &mirage.Unresolved{Hosts: provider, Answer: "servfail"}}, checks.CauseDNS, "servfail", false},
		"a resolver that sleeps": {mirage.Fault{DNS: &mirage.Unresolved{Hosts: provider, Answer: "timeout"}}, checks.CauseDNS, "timeout", false},
		"nobody listens":         {mirage.Fault{Connect: &mirage.Unreachable{Hosts: provider}}, checks.CauseConnect, "refused", false},
		"no way there":           {mirage.Fault{Connect: &mirage.Unreachable{Hosts: all, How: "unreachable"}}, checks.CauseConnect, "unreachable", true},
		"no answer":              {mirage.Fault{Connect: &mirage.Unreachable{Hosts: all, How: "timeout"}}, checks.CauseTimeoutConnect, "timeout", true},
		"an old certificate":     {mirage.Fault{TLS: &mirage.Distrusted{Hosts: provider}}, checks.CauseTLS, "expired", false},
		"another's certificate":  {mirage.Fault{TLS: &mirage.Distrusted{Hosts: provider, How: "wrong_host"}}, checks.CauseTLS, "wrong_host", false},
		"nobody's certificate":   {mirage.Fault{TLS: &mirage.Distrusted{Hosts: []string{"api.example"}, How: "unknown_ca"}}, checks.CauseTLS, "unknown_ca", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, network := world(t)
			if err := w.Break([]mirage.Fault{tt.fault}); err != nil {
				t.Fatal(err)
			}
			_, _, failure := ask(t, network, "https://api.example/v1/models", w.Keys().Primary)
			if failure == nil || failure.Cause != tt.cause || failure.Reason != tt.reason {
				t.Fatalf("got %+v, want cause %q for the reason %q", failure, tt.cause, tt.reason)
			}
			if _, _, failure := ask(t, network, "http://app.example/health", ""); (failure != nil) != tt.app {
				t.Errorf("the application: got %v", failure)
			}
			if err := w.Break(nil); err != nil {
				t.Fatal(err)
			}
			if status, _, failure := ask(t, network, "https://api.example/v1/models", w.Keys().Primary); status != http.StatusOK {
				t.Errorf("once it is over: got %d, %v", status, failure)
			}
		})
	}
}

func TestAnswersOfFaults(t *testing.T) {
	w, network := world(t)
	for name, tt := range map[string]struct {
		fault            mirage.Fault
		primary, app, ok int // statuses: with the primary key, of the application, with the fallback key
	}{
		"the key is refused":    {mirage.Fault{API: &mirage.API{Fault: simulator.Fault{KeyRevoked: true, Key: "primary"}}}, 401, 200, 200},
		"the service is down":   {mirage.Fault{API: &mirage.API{Fault: simulator.Fault{Error: "unavailable"}}}, 503, 200, 503},
		"the application fails": {mirage.Fault{App: &mirage.SickApp{Health: "unhealthy"}}, 200, 503, 200},
	} {
		if err := w.Break([]mirage.Fault{tt.fault}); err != nil {
			t.Fatal(err)
		}
		primary, _, _ := ask(t, network, "https://api.example/v1/models", w.Keys().Primary)
		fallback, _, _ := ask(t, network, "https://api.example/v1/models", w.Keys().Fallback)
		app, _, _ := ask(t, network, "http://app.example/health", "")
		if primary != tt.primary || app != tt.app || fallback != tt.ok {
			t.Errorf("%s: got %d, %d, %d, want %d, %d, %d", name, primary, app, fallback, tt.primary, tt.app, tt.ok)
		}
	}
	if err := w.Break([]mirage.Fault{{App: &mirage.SickApp{Refuse: true}}}); err != nil {
		t.Fatal(err)
	}
	if _, _, failure := ask(t, network, "http://app.example/health", ""); failure == nil || failure.Reason != "refused" {
		t.Errorf("an application that refuses: got %v", failure)
	}
}

func TestWhatAFaultMayBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault mirage.Fault
		good  bool
	}{
		"nothing":            {mirage.Fault{}, false},
		"two things":         {mirage.Fault{App: &mirage.SickApp{}, DNS: &mirage.Unresolved{}}, false},
		"the primary key":    {mirage.Fault{API: &mirage.API{Fault: simulator.Fault{KeyRevoked: true, Key: "primary"}}}, true},
		"an unknown error":   {mirage.Fault{API: &mirage.API{Fault: simulator.Fault{Error: "nonsense"}}}, false},
		"an unknown word":    {mirage.Fault{DNS: &mirage.Unresolved{Answer: "maybe"}}, false},
		"an unknown way":     {mirage.Fault{Connect: &mirage.Unreachable{How: "gone"}}, false},
		"an unknown paper":   {mirage.Fault{TLS: &mirage.Distrusted{How: "old"}}, false},
		"no status":          {mirage.Fault{App: &mirage.SickApp{Status: 99}}, false},
		"an unhealthy app":   {mirage.Fault{App: &mirage.SickApp{Health: "unhealthy"}}, true},
		"an unknown health":  {mirage.Fault{App: &mirage.SickApp{Health: "fine"}}, false},
		"hosts out of reach": {mirage.Fault{Connect: &mirage.Unreachable{Hosts: []string{"all"}}}, true},
	} {
		if err := tt.fault.Validate(); (err == nil) != tt.good {
			t.Errorf("%s: got %v, want good %t", name, err, tt.good)
		}
	}
}

func TestAFaultOfTheAPIIsWrittenAsInAFile(t *testing.T) {
	t.Parallel()
	after := 1
	for want, api := range map[string]simulator.Fault{
		`{"api":{"error":"capacity"}}`:                            {Error: "capacity"},
		`{"api":{"route":"chat","time_to_first_token":"7s"}}`:     {Route: "chat", TimeToFirstToken: 7 * time.Second},
		`{"api":{"stall_after":1}}`:                               {StallAfter: &after},
		`{"api":{"key":"primary","key_revoked":true}}`:            {KeyRevoked: true, Key: "primary"},
		`{"api":{"model_retired":{"id":"mistral-small-latest"}}}`: {ModelRetired: &simulator.ModelID{ID: "mistral-small-latest"}},
	} {
		got, err := json.Marshal(mirage.Fault{API: &mirage.API{Fault: api}})
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		var back mirage.Fault
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back.API.Fault, api) {
			t.Errorf("%s came back as %+v, %v", got, back.API, err)
		}
	}
	var fault mirage.Fault
	if err := json.Unmarshal([]byte(`{"api":{"eror":"capacity"}}`), &fault); err == nil {
		t.Error("a word that nobody knows was taken")
	}
}
