package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk"
	"github.com/windsock-monitor/windsock/plugins/sdk/internal/shop"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// decoder reads the parameters as the agent's own tests do.
type decoder func(into any) error

func (d decoder) Decode(into any) error { return d(into) }

// kept is the memory of a check that runs without a plugin.
type kept struct{ data []byte }

func (k *kept) Load(context.Context) ([]byte, error) { return k.data, nil }

func (k *kept) Save(_ context.Context, data []byte) error {
	k.data = data
	return nil
}

// direct runs a login as the agent runs its own checks, two times.
func direct(t *testing.T, says string, count bool) []checks.Result {
	t.Helper()
	d := decoder(func(into any) error {
		p, ok := into.(*shop.LoginParams)
		if !ok {
			t.Fatalf("decoding into a %T", into)
		}
		p.URL, p.Says, p.Count = "http://a", says, count
		return nil
	})
	check, err := shop.Login().New(d, checks.Env{Log: slog.New(slog.DiscardHandler), Memory: new(kept)})
	if err != nil {
		t.Fatal(err)
	}
	var out []checks.Result
	for range 2 {
		r, err := check.Run(t.Context())
		if err != nil { // as the pipeline does
			r.Status, r.Summary = checks.Error, err.Error()
		}
		r.Summary = wire.Line(r.Summary)
		out = append(out, r)
	}
	return out
}

func TestCheckGivesTheSameResultInAPlugin(t *testing.T) {
	c := shopServed(t)
	for name, k := range map[string]struct {
		says  string
		count bool
	}{
		"ok": {says: "ok"}, "degraded": {says: "slow"}, "failed": {says: "failed"}, "skipped": {says: "skipped"}, "an error": {says: "error"},
		"with a memory": {says: "ok", count: true},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := json.Marshal(map[string]any{"url": "http://a", "says": k.says, "count": k.count})
			if err != nil {
				t.Fatal(err)
			}
			c.configured(t, name, "login", string(config))
			var memory []byte
			for i, want := range direct(t, k.says, k.count) {
				response, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: name, Memory: memory})
				if err != nil {
					t.Fatal(err)
				}
				if response.Memory != nil {
					memory = response.GetMemory()
				}
				got, err := wire.ResultFromProto(response.GetResult())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("run %d differs in a plugin (-direct +plugin):\n%s", i, diff)
				}
			}
		})
	}
}

func TestRunKeepsTheMemoryThatWasNotSaved(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "i", "login", `{"url":"http://a"}`)
	r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i", Memory: []byte("7")})
	if err != nil || r.Memory != nil {
		t.Errorf("got memory %q, %v, want it absent", r.GetMemory(), err)
	}
}

func TestRunWithASecret(t *testing.T) {
	c := shopServed(t)
	configure := func(secrets map[string][]byte) {
		r, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{
			InstanceId: "i", Kind: "login", ConfigJson: []byte(`{"url":"http://a","says":"secret","password":{"secret":"shop_password"}}`), Secrets: secrets,
		})
		if err != nil || len(r.GetDiagnostics()) > 0 {
			t.Fatalf("got %v, %v, want nothing wrong", r, err)
		}
	}
	run := func() string {
		r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetResult().GetStatus().String() + " " + r.GetResult().GetCause() + " " + r.GetResult().GetSummary()
	}
	configure(map[string][]byte{"shop_password": []byte("hunter2")})
	if got, want := run(), `STATUS_OK  7 bytes from secret "shop_password" of the agent`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	configure(map[string][]byte{"shop_password": []byte("hunter22")}) // rotated
	if got := run(); !strings.Contains(got, "8 bytes") {
		t.Errorf("after a new value: got %s, want it", got)
	}
	configure(nil)
	if got := run(); !strings.Contains(got, "STATUS_ERROR config") || !strings.Contains(got, "no value for the secret") {
		t.Errorf("without a value: got %s, want error, config", got)
	}
}

func TestRunThatPanicsIsAnErrorAndTheNextOneWorks(t *testing.T) {
	var logged bytes.Buffer
	p := shop.Plugin()
	p.Log = slog.New(slog.NewJSONHandler(&logged, nil))
	c := served(t, p)
	c.configured(t, "i", "login", `{"url":"http://a","says":"panic"}`)
	for range 2 {
		_, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
		wantCode(t, err, codes.Internal)
		if strings.Contains(err.Error(), "burns") {
			t.Errorf("the error %v tells what panicked, which may be anything", err)
		}
	}
	if text := logged.String(); !strings.Contains(text, "the shop burns") || !strings.Contains(text, "shop.go") {
		t.Errorf("the log has no stack: %s", text)
	}
}

func TestRunEndsWithItsTimeAndSaysSo(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "i", "login", `{"url":"http://a","says":"hang"}`)
	for name, run := range map[string]func(context.Context) (*pluginv1.RunResponse, error){
		"by its own bound": func(ctx context.Context) (*pluginv1.RunResponse, error) {
			return c.Run(ctx, &pluginv1.RunRequest{InstanceId: "i", Timeout: durationpb.New(50 * time.Millisecond)})
		},
		"by the call's deadline": func(ctx context.Context) (*pluginv1.RunResponse, error) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return c.Run(ctx, &pluginv1.RunRequest{InstanceId: "i", Timeout: durationpb.New(2 * time.Second)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := run(t.Context())
			if err != nil || r.GetResult().GetCause() != "timeout" {
				t.Errorf("got %v, %v, want what the check says of its deadline", r, err)
			}
		})
	}
	_, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i", Timeout: &durationpb.Duration{Seconds: -1}})
	wantCode(t, err, codes.InvalidArgument)
}

func TestRunThatIsCancelled(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "i", "login", `{"url":"http://a","says":"hang"}`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, &pluginv1.RunRequest{InstanceId: "i"})
		done <- err
	}()
	cancel()
	wantCode(t, <-done, codes.Canceled)
	r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i", Timeout: durationpb.New(time.Millisecond)})
	if err != nil || r.GetResult().GetCause() != "timeout" {
		t.Errorf("the next run: got %v, %v", r, err)
	}
}

func TestRunHasTheTraceparent(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "i", "login", `{"url":"http://a"}`)
	r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i", Traceparent: "00-abc-def-01"})
	if err != nil || r.GetResult().GetFacts()["traceparent"] != "00-abc-def-01" {
		t.Errorf("got %v, %v, want the traceparent", r, err)
	}
}

// overlapping is a check that finds out whether it runs beside itself. A run says that it is inside, and stays until release
// is closed, whatever its context says.
func overlapping(inside chan<- struct{}, release <-chan struct{}) sdk.Plugin {
	var mu sync.Mutex // held by the run
	kind := checks.NewKind("one", "Runs alone.", struct{}{}, func(struct{}, checks.Env) (checks.Check, error) {
		return checks.Func(func(context.Context) (checks.Result, error) {
			if !mu.TryLock() {
				return checks.Fail(checks.CauseAssertion, "two at once"), nil
			}
			defer mu.Unlock()
			inside <- struct{}{}
			<-release
			return checks.Pass("alone"), nil
		}), nil
	})
	return sdk.Plugin{Name: "one", Version: "1.0.0", Checks: []checks.Kind{kind}}
}

func TestOneInstanceNeverRunsBesideItself(t *testing.T) {
	inside, release := make(chan struct{}, 10), make(chan struct{})
	c := served(t, overlapping(inside, release))
	c.configured(t, "i", "one", "")
	results := make(chan string, 10)
	run := func() {
		r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
		results <- r.GetResult().GetSummary() + status.Code(err).String()
	}
	go run()
	<-inside

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Run(ctx, &pluginv1.RunRequest{InstanceId: "i"})
	wantCode(t, err, codes.DeadlineExceeded)

	for range 5 {
		go run()
	}
	close(release)
	for range 6 {
		if got := <-results; got != "aloneOK" {
			t.Errorf("got %s, want aloneOK", got)
		}
	}
}

func TestInstancesRunBesideEachOther(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	kind := checks.NewKind("many", "Runs with others.", struct{}{}, func(struct{}, checks.Env) (checks.Check, error) {
		return checks.Func(func(context.Context) (checks.Result, error) {
			inside <- struct{}{}
			<-release
			return checks.Pass("with others"), nil
		}), nil
	})
	c := served(t, sdk.Plugin{Name: "many", Version: "1.0.0", Checks: []checks.Kind{kind}})
	var runs sync.WaitGroup
	ids := strings.Split("abcdefghijklmnopqrstuvwxyz012345", "")
	for _, id := range ids {
		c.configured(t, id, "many", "")
		runs.Go(func() {
			if r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: id}); err != nil || r.GetResult().GetSummary() != "with others" {
				t.Errorf("got %v, %v", r, err)
			}
		})
	}
	for range ids {
		<-inside // all of them are there at once
	}
	close(release)
	runs.Wait()
}

func TestDrainWaitsForTheRunThatGoesOn(t *testing.T) {
	inside, release := make(chan struct{}, 10), make(chan struct{})
	c := served(t, overlapping(inside, release))
	c.configured(t, "i", "one", "")
	ran, drained := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
		ran <- err
	}()
	<-inside

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Drain(short, &pluginv1.DrainRequest{})
	wantCode(t, err, codes.DeadlineExceeded)

	_, err = c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
	wantCode(t, err, codes.Unavailable)
	_, err = c.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: "j", Kind: "one"})
	wantCode(t, err, codes.Unavailable)

	go func() {
		_, err := c.Drain(t.Context(), &pluginv1.DrainRequest{})
		drained <- err
	}()
	select {
	case err := <-drained:
		t.Errorf("drained while a run went on: %v", err)
	case <-time.After(20 * time.Millisecond): // it waits: nothing to see
	}
	close(release)
	if err := <-ran; err != nil {
		t.Errorf("the run that went on: %v", err)
	}
	if err := <-drained; err != nil {
		t.Errorf("draining: %v", err)
	}
}
