package heartbeat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/heartbeat"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const address = "https://ping.example/canary-path?key=canary-query"

// world is an agent that is well or not, and a receiver that takes heartbeats or not.
type world struct {
	log bytes.Buffer

	mu     sync.Mutex // guards the rest
	reason heartbeat.Reason
	stands time.Duration // how long the next look at the agent takes, whatever its deadline
	answer func() (int, error)
	asked  []time.Time
	urls   []string
}

// well stands in for what the agent says.
func (w *world) well(context.Context) (heartbeat.Reason, string) {
	w.mu.Lock()
	reason, stands := w.reason, w.stands
	w.stands = 0
	w.mu.Unlock()
	time.Sleep(stands)
	if reason == "" {
		return "", ""
	}
	return reason, "as the test says"
}

// Open is the way out.
func (w *world) Open(ctx context.Context, r outbound.Request) (*outbound.Response, error) {
	w.mu.Lock()
	w.asked, w.urls = append(w.asked, time.Now()), append(w.urls, r.Method+" "+r.URL)
	answer := w.answer
	w.mu.Unlock()
	status, err := answer()
	if status == hangs {
		<-ctx.Done()
		err = &url.Error{Op: "Get", URL: r.URL, Err: ctx.Err()}
	}
	if err != nil {
		return nil, err
	}
	return &outbound.Response{Status: status, Body: noBody{}}, nil
}

const hangs = 1

type noBody struct{ outbound.BodyReader }

func (noBody) Close() error { return nil }

func always(status int) func() (int, error) { return func() (int, error) { return status, nil } }

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) tries() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// source is a secret that a test can change.
type source struct {
	mu    sync.Mutex // guards value
	value string
}

func (s *source) Read(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == "" {
		return "", fmt.Errorf("%w: file /etc/heartbeat: empty", checks.ErrNoSecret)
	}
	return s.value, nil
}
func (s *source) Renew(context.Context) (bool, error) { return false, nil }
func (s *source) Where() string                       { return "file /etc/heartbeat" }

func (s *source) rotate(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = value
}

// beating runs a sender in a bubble. The story begins half a second after the first beat was sent.
func beating(t *testing.T, every time.Duration, play func(w *world, s *heartbeat.Sender, secret *source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, secret := &world{answer: always(200)}, &source{value: address}
		s := heartbeat.New(heartbeat.Options{Well: w.well, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
		s.Configure(w.settings(secret, every))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		play(w, s, secret)
		synctest.Wait()
		stop()
		running.Wait()
		if text := w.log.String(); strings.Contains(text, "canary") {
			t.Errorf("the log shows the address:\n%s", text)
		}
	})
}

func (w *world) settings(secret *source, every time.Duration) heartbeat.Settings {
	return heartbeat.Settings{URL: checks.NewSecret(secret), Every: every, Way: w}
}

func wantCounts(t *testing.T, s *heartbeat.Sender, sent, failed, withheld int64) {
	t.Helper()
	synctest.Wait()
	got := s.Status()
	var sum int64
	for _, n := range got.Withheld {
		sum += n
	}
	if got.Sent != sent || got.Failed != failed || sum != withheld {
		t.Errorf("got %d sent, %d failed, %d withheld; want %d, %d, %d", got.Sent, got.Failed, sum, sent, failed, withheld)
	}
}

func TestAWellAgentBeatsAtOnceAndThenEveryPeriod(t *testing.T) {
	t.Parallel()
	beating(t, time.Minute, func(w *world, s *heartbeat.Sender, _ *source) {
		start := time.Now().Add(-500 * time.Millisecond)
		time.Sleep(10 * time.Minute)
		wantCounts(t, s, 11, 0, 0)
		for i, at := range w.tries() {
			if want := time.Duration(i) * time.Minute; at.Sub(start) != want {
				t.Errorf("beat %d came after %s, want %s", i, at.Sub(start), want)
			}
		}
		if w.urls[0] != http.MethodGet+" "+address {
			t.Errorf("asked %q", w.urls[0])
		}
		if st := s.Status(); !st.On || st.Every != time.Minute || !st.LastSentAt.Equal(start.Add(10*time.Minute)) || st.Problem != "" || st.Reason != "" {
			t.Errorf("got %+v", st)
		}
	})
}

func TestNothingIsSentWhileTheAgentIsNotWell(t *testing.T) {
	t.Parallel()
	for _, reason := range heartbeat.Reasons() {
		beating(t, time.Minute, func(w *world, s *heartbeat.Sender, _ *source) {
			w.set(func() { w.reason = reason })
			time.Sleep(10*time.Minute + 50*time.Second) // little is left of the tenth
			wantCounts(t, s, 1, 0, 10)
			st := s.Status()
			if st.Reason != reason || st.Why == "" || st.Withheld[reason] != 10 || len(w.tries()) != 1 {
				t.Errorf("%s: got %+v and %d tries", reason, st, len(w.tries()))
			}
			w.set(func() { w.reason = "" })
			time.Sleep(10 * time.Second)
			wantCounts(t, s, 2, 0, 10)
			if st := s.Status(); st.Reason != "" || st.Why != "" {
				t.Errorf("%s: got %+v", reason, st)
			}
			log := w.log.String()
			if n := strings.Count(log, `msg="heartbeat withheld"`); n != 1 || strings.Count(log, "sent again") != 1 || !strings.Contains(log, "reason="+string(reason)) {
				t.Errorf("%s: want one line of each change, got\n%s", reason, log)
			}
		})
	}
}

// A beat that could not be sent when it was due is sent as soon as the agent is well, not a period later.
func TestABeatThatWasWithheldIsSentSoonWhenTheAgentIsWell(t *testing.T) {
	t.Parallel()
	beating(t, time.Hour, func(w *world, s *heartbeat.Sender, _ *source) {
		w.set(func() { w.reason = heartbeat.Export })
		time.Sleep(time.Hour + 10*time.Minute)
		wantCounts(t, s, 1, 0, 0) // the second is neither yet
		w.set(func() { w.reason = "" })
		time.Sleep(5 * time.Second)
		wantCounts(t, s, 2, 0, 0)
	})
}

func TestABeatThatFailsIsTriedAgainAndCountedOnce(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{time.Second, time.Minute, 24 * time.Hour} {
		beating(t, every, func(w *world, s *heartbeat.Sender, _ *source) {
			w.set(func() { w.answer = always(500) })
			start := time.Now().Add(-500 * time.Millisecond)
			time.Sleep(20*every - 501*time.Millisecond)
			wantCounts(t, s, 1, 19, 0)
			beats := map[time.Duration]int{}
			var gaps []time.Duration
			for i, at := range w.tries()[1:] {
				beats[at.Sub(start)/every]++
				if gap := at.Sub(w.tries()[i]); gap < every/2 {
					gaps = append(gaps, gap)
				}
			}
			for beat, n := range beats {
				if n < 3 || n > 16 {
					t.Errorf("every %s: beat %d was tried %d times", every, beat, n)
				}
			}
			slices.Sort(gaps)
			if len(slices.Compact(gaps)) < 10 {
				t.Errorf("every %s: the waits have no jitter: %v", every, gaps)
			}
			if n := strings.Count(w.log.String(), `msg="heartbeat failed"`); n != 1 {
				t.Errorf("every %s: the same failure was logged %d times", every, n)
			}
			if st := s.Status(); !strings.Contains(st.Problem, "answered 500") {
				t.Errorf("got %+v", st)
			}
		})
	}
}

func TestABeatThatIsTakenAtASecondTryIsSent(t *testing.T) {
	t.Parallel()
	beating(t, time.Minute, func(w *world, s *heartbeat.Sender, _ *source) {
		w.set(func() { w.answer = always(503) })
		time.Sleep(time.Minute)
		w.set(func() { w.answer = always(204) })
		time.Sleep(10 * time.Second)
		wantCounts(t, s, 2, 0, 0)
		if log := w.log.String(); !strings.Contains(log, "sent again") || s.Status().Problem != "" {
			t.Errorf("got %+v and\n%s", s.Status(), log)
		}
	})
}

func TestAReceiverThatHangsDelaysNoBeat(t *testing.T) {
	t.Parallel()
	beating(t, time.Minute, func(w *world, s *heartbeat.Sender, _ *source) {
		w.set(func() { w.answer = always(hangs) })
		time.Sleep(10*time.Minute - time.Second)
		wantCounts(t, s, 1, 9, 0)
		if st := s.Status(); !strings.Contains(st.Problem, "no answer") || strings.Contains(st.Problem, "canary") {
			t.Errorf("got %+v", st)
		}
	})
}

func TestTheAddressIsReadForEachTry(t *testing.T) {
	t.Parallel()
	beating(t, time.Minute, func(w *world, s *heartbeat.Sender, secret *source) {
		secret.rotate("https://other.example/canary-two")
		time.Sleep(time.Minute)
		secret.rotate("")
		time.Sleep(time.Minute + 50*time.Second)
		synctest.Wait()
		if len(w.urls) != 2 || w.urls[1] != "GET https://other.example/canary-two" {
			t.Errorf("asked %q", w.urls)
		}
		wantCounts(t, s, 2, 1, 0)
		if st := s.Status(); !strings.Contains(st.Problem, "file /etc/heartbeat") {
			t.Errorf("got %+v, want the source that has nothing", st)
		}
	})
}

func TestSettingsChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	beating(t, time.Hour, func(w *world, s *heartbeat.Sender, secret *source) {
		time.Sleep(time.Minute)
		s.Configure(heartbeat.Settings{})
		time.Sleep(3 * time.Hour)
		wantCounts(t, s, 1, 0, 0)
		if s.Status().On {
			t.Error("it is off and says that it is on")
		}
		s.Configure(w.settings(secret, time.Minute))
		time.Sleep(10*time.Minute + 2*time.Second)
		wantCounts(t, s, 12, 0, 0)
		// a beat that fails is over when the address is replaced, and the new one is tried soon, not a period later
		w.set(func() { w.answer = always(404) })
		time.Sleep(time.Minute)
		w.set(func() { w.answer = always(200) })
		s.Configure(w.settings(&source{value: "https://new.example/canary-three"}, time.Minute))
		wantCounts(t, s, 12, 1, 0)
		time.Sleep(time.Second)
		wantCounts(t, s, 13, 1, 0)
	})
}

// Where the machine stood still for ten periods there is one beat at once, and the next a period later.
func TestAfterAStandstillThereIsOneBeat(t *testing.T) {
	t.Parallel()
	beating(t, time.Minute, func(w *world, s *heartbeat.Sender, _ *source) {
		w.set(func() { w.stands = 10 * time.Minute })
		time.Sleep(11*time.Minute + time.Second)
		before := len(w.tries())
		time.Sleep(time.Minute)
		if after := len(w.tries()); after > before+1 {
			t.Errorf("%d tries in a minute, want one", after-before)
		}
		if got := s.Status(); got.Sent < 3 || got.Sent > 4 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestTheEndOfTheAgentIsNoFailure(t *testing.T) {
	t.Parallel()
	var sender *heartbeat.Sender
	beating(t, time.Minute, func(w *world, s *heartbeat.Sender, _ *source) {
		sender = s
		w.set(func() { w.answer = always(hangs) })
		time.Sleep(time.Minute + time.Second)
	})
	if got := sender.Status(); got.Failed != 0 || got.Sent != 1 {
		t.Errorf("got %+v", got)
	}
}

// What the way out says may hold the address, whole or in parts.
func TestNoErrorShowsTheAddress(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{
		"Get \"" + address + "\": refused", "GET " + u.RequestURI() + " HTTP/1.1", "path " + u.Path, "query " + u.RawQuery,
		"%2Fcanary-path%3Fkey%3Dcanary-query", "CANARY-PATH", "…nary-path?key=cana…",
	} {
		w := &world{answer: func() (int, error) { return 0, &url.Error{Op: "Get", URL: address, Err: errors.New(said)} }}
		hidden := map[string]bool{}
		set := w.settings(&source{value: address}, time.Minute)
		set.Hide = func(text string) { hidden[text] = true }
		err := set.Send(t.Context())
		if err == nil || strings.Contains(strings.ToLower(err.Error()), "nary") || strings.Contains(err.Error(), "ping.example") {
			t.Errorf("%q became %v", said, err)
		}
		for _, part := range []string{address, "/canary-path?key=canary-query", "/canary-path", "key=canary-query"} {
			if !hidden[part] {
				t.Errorf("the log's scrubber was not told of %q", part)
			}
		}
	}
}
