package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const (
	mostAnswer = 64 << 10
	mostSaid   = 160            // of what a backend says of an error
	mostWait   = 24 * time.Hour // that a backend may wish for
)

// Way is how messages go out. The zero Way is direct; make one with NewWay.
type Way struct {
	exchanger outbound.Exchanger
	own       *outbound.Network
	timeout   time.Duration
}

// NewWay makes a way over the agent's network, or over one of its own where there is none (while validating, in tests).
// timeout bounds each request. It connects to nothing.
func NewWay(env exporters.Env, timeout time.Duration) (*Way, error) {
	if given, ok := env.Network.(outbound.Exchanger); ok {
		return &Way{exchanger: given, timeout: timeout}, nil
	}
	own, err := outbound.New(outbound.Options{UserAgent: "windsock/" + env.Version + " (synthetic)"})
	if err != nil {
		return nil, fmt.Errorf("making a way out: %w", err)
	}
	return &Way{exchanger: own, own: own, timeout: timeout}, nil
}

// Close closes what is the way's own.
func (w *Way) Close() error {
	if w.own != nil {
		w.own.Close()
	}
	return nil
}

// Request is one request to a backend.
type Request struct {
	Doing   string // for errors: "posting to the webhook"
	URL     string
	Secret  bool // the URL is a credential: nothing of it stands in an error
	Header  http.Header
	Body    []byte
	Secrets []string      // values that stand in the request and in no error
	Renew   checks.Secret // read again where the backend refuses it with 401 or 403; may be absent
	TLS     *outbound.TLS
}

// Answer is what a backend said to a request that it took.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most 64 KiB; what is beyond is not read
}

// Post makes one attempt. It follows no redirect and uses a connection of its own. The error is made by exporters.Retry,
// Hold, Split or Poison as exporters.OfHTTPStatus says, with the first words of what the backend said, and without a secret.
// The answer that was no 2xx comes with it, as it was: a backend's own word may say more than the status.
func (w *Way) Post(ctx context.Context, r Request) (Answer, error) {
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	scrub := r.scrubber()
	answer, err := w.exchanger.Open(ctx, outbound.Request{
		Method: http.MethodPost, URL: r.URL, Header: r.Header, Body: r.Body, MaxBody: mostAnswer, TLS: r.TLS,
	})
	if err != nil {
		return Answer{}, failed(r.Doing, scrub, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body) // bounded: what is beyond is an error, and no reason to send again what was taken
	after := RetryAfter(answer.Header, time.Now())
	if fault := exporters.OfHTTPStatus(answer.Status, after, r.Doing); fault != nil {
		said := scrub.Line(string(body), mostSaid)
		if (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) && !r.Renew.IsZero() {
			said += " (" + credential.Renew(ctx, r.Renew) + ")"
		}
		return Answer{answer.Status, answer.Header, body}, &saying{fault, said}
	}
	if failure, ok := errors.AsType[*outbound.Failure](err); ok && failure.Cause != checks.CauseResponseTooLarge {
		body = nil // 2xx is a success, whatever comes of the body
	}
	return Answer{answer.Status, answer.Header, body}, nil
}

// Knock asks the root of a request's host for its head: any answer shows that somebody is there. Nothing of the request
// goes out, neither its path nor its headers.
func (w *Way) Knock(ctx context.Context, r Request) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		return exporters.Hold(errors.New(r.Doing + ": the address is none"))
	}
	root := url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}
	answer, err := w.exchanger.Open(ctx, outbound.Request{Method: http.MethodHead, URL: root.String(), MaxBody: mostAnswer, TLS: r.TLS})
	if err != nil {
		return failed(r.Doing, r.scrubber(), err)
	}
	return answer.Body.Close()
}

func (r Request) scrubber() credential.Scrubber {
	secrets := r.Secrets
	if u, err := url.Parse(r.URL); r.Secret && err == nil {
		secrets = append([]string{r.URL, u.RequestURI()}, secrets...)
	}
	return credential.NewScrubber(secrets, nil)
}

// failed is the error of an exchange without an answer. What only an operator can change is held.
func failed(doing string, scrub credential.Scrubber, err error) error {
	text := errors.New(doing + ": " + scrub.Line(err.Error(), mostSaid))
	if failure, ok := errors.AsType[*outbound.Failure](err); ok && failure.Cause == checks.CauseConfig {
		return exporters.Hold(text)
	}
	return exporters.Retry(text, 0)
}

// saying is an error with what the backend said.
type saying struct {
	error
	said string
}

func (s *saying) Error() string {
	if s.said == "" {
		return s.error.Error()
	}
	return s.error.Error() + ": " + s.said
}

func (s *saying) Unwrap() error { return s.error }

// RetryAfter reads the header of that name, seconds or a date; zero where there is neither.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(mostWait/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(date.Sub(now), 0), mostWait)
	}
	return 0
}
