package fetch_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const (
	key   = "canary-key-4711-abcdef"
	query = "canary-query-0815"
)

func network(t *testing.T) *outbound.Network {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// do makes an exchange that carries the canaries, and holds that none comes back in a text.
func do(t *testing.T, req fetch.Request) *fetch.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req.URL += "/path?token=" + query
	a := fetch.Do(ctx, network(t), req)
	r := a.Result(ctx)
	if r.Summary == "" {
		r.Summary = "well"
	}
	if err := checktest.Valid(r); err != nil {
		t.Error(err)
	}
	for _, canary := range []string{key, query} {
		if form := checktest.Leak(fmt.Sprintf("%+v", r), canary); form != "" {
			t.Errorf("the result holds %s (%s): %+v", canary, form, r)
		}
	}
	return a
}

func steps(a *fetch.Answer) string {
	var all []string
	for _, s := range a.Evidence {
		mark := s.Name
		if !s.OK {
			mark += "!"
		}
		all = append(all, mark)
	}
	return strings.Join(all, " ")
}

func TestAWholeAnswerHasNoCauseWhateverItsStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]checks.Cause{
		200: checks.CauseNone, 204: checks.CauseNone, 302: checks.CauseUnexpectedRedirect, 401: checks.CauseAuth, 403: checks.CauseForbidden,
		404: checks.CauseBadRequest, 429: checks.CauseRateLimited, 500: checks.CauseServer, 503: checks.CauseServer,
	} {
		url := outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.Header.Get("X-Plain") != "yes" {
				t.Errorf("got %s with %v", r.Method, r.Header)
			}
			w.Header().Set("Location", "http://127.0.0.1:1/?key="+key)
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = io.Copy(w, r.Body)
			}
		})
		a := do(t, fetch.Request{Method: http.MethodPost, URL: url, Header: http.Header{"X-Plain": {"yes"}}, Body: []byte(key)})
		if a.Cause != checks.CauseNone || a.Status != status || a.Refusal() != want || (status != 204 && string(a.Body) != key) {
			t.Errorf("%d: got %d %q, refusal %q, want %q", status, a.Status, a.Cause, a.Refusal(), want)
		}
		if r := a.Result(t.Context()); r.Status != checks.OK || len(r.Phases) < 2 || !strings.HasPrefix(steps(a), "connect status") {
			t.Errorf("%d: %s with phases %v and evidence %s", status, r.Status, r.Phases, steps(a))
		}
	}
}

func TestCredentialsGoOntoTheWireAndNowhereElse(t *testing.T) {
	t.Parallel()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+key))
	for name, tc := range map[string]struct {
		auth   fetch.Auth
		header string
		want   string
	}{
		"bearer": {fetch.Auth{Bearer: checktest.Secret(key)}, "Authorization", "Bearer " + key},
		"basic":  {fetch.Auth{Basic: fetch.Basic{Username: "me", Password: checktest.Secret(key)}}, "Authorization", basic},
		"header": {fetch.Auth{Headers: map[string]checks.Secret{"X-Api-Key": checktest.Secret(key)}}, "X-Api-Key", key},
		"none":   {fetch.Auth{}, "Authorization", ""},
	} {
		url := outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get(tc.header); got != tc.want {
				t.Errorf("%s: %s is %q, want %q", name, tc.header, got, tc.want)
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "you sent "+key[:14])
		})
		a := do(t, fetch.Request{URL: url, Auth: tc.auth})
		if a.Status != http.StatusUnauthorized || a.Echoes(string(a.Body)) != (name != "none") {
			t.Errorf("%s: status %d, echoes %v", name, a.Status, a.Echoes(string(a.Body)))
		}
		if got := strings.Contains(a.Evidence[len(a.Evidence)-1].Detail, "no other value"); got != (name != "none") {
			t.Errorf("%s: the evidence says %q", name, a.Evidence[len(a.Evidence)-1].Detail)
		}
	}
}

// rotating is a secret whose source has another value when it is read again.
type rotating struct{ renewed *atomic.Int64 }

func (r rotating) Read(context.Context) (string, error)          { return key, nil }
func (r rotating) Renew(context.Context) (changed bool, e error) { return r.renewed.Add(1) > 0, nil }
func (r rotating) Where() string                                 { return "the test" }

func TestARefusedCredentialIsReadAgainForTheNextRun(t *testing.T) {
	t.Parallel()
	var renewed, requests atomic.Int64
	url := outboundtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	})
	a := do(t, fetch.Request{URL: url, Auth: fetch.Auth{Bearer: checks.NewSecret(rotating{&renewed})}})
	if renewed.Load() != 1 || requests.Load() != 1 || !strings.Contains(a.Evidence[1].Detail, "new value") {
		t.Errorf("read again %d times, %d requests, evidence %+v", renewed.Load(), requests.Load(), a.Evidence)
	}
}

func TestACredentialThatCannotBeUsedIsOurFault(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	url := outboundtest.Serve(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	for name, auth := range map[string]fetch.Auth{
		"absent":         {Bearer: checktest.Secret("")},
		"of two lines":   {Basic: fetch.Basic{Username: "me", Password: checktest.Secret(key + "\nX-Evil: 1")}},
		"a spaced token": {Bearer: checktest.Secret(key + " ")},
		"absent header":  {Headers: map[string]checks.Secret{"X-Key": checktest.Secret("")}},
	} {
		a := do(t, fetch.Request{URL: url, Auth: auth})
		if r := a.Result(t.Context()); r.Status != checks.Error || r.Cause != checks.CauseConfig || steps(a) != "key!" {
			t.Errorf("%s: %s %q, evidence %s", name, r.Status, r.Cause, steps(a))
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests were sent, want none", requests.Load())
	}
}

func says(t *testing.T, text string, finish func(net.Conn, <-chan struct{})) string {
	t.Helper()
	return "http://" + outboundtest.Raw(t, func(conn net.Conn, done <-chan struct{}) {
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		if finish != nil {
			finish(conn, done)
		}
	})
}

func TestEveryFaultOfTheWayHasOneCauseAndItsEvidence(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
	for name, tc := range map[string]struct {
		url    string
		cause  checks.Cause
		steps  string
		status int
	}{
		"refused":        {url: "http://" + outboundtest.Refused(t), cause: checks.CauseConnect, steps: "connect!"},
		"metadata":       {url: "http://169.254.169.254", cause: checks.CauseConfig, steps: "connect!"},
		"not TLS":        {url: strings.Replace(says(t, "220 mail\r\n", nil), "http:", "https:", 1), cause: checks.CauseTLS, steps: "connect tls!"},
		"hang-up":        {url: says(t, "", nil), cause: checks.CauseConnect, steps: "connect status!"},
		"no HTTP":        {url: says(t, "220 mail "+key+"\r\n", nil), cause: checks.CauseMalformed, steps: "connect status!"},
		"a short body":   {url: says(t, head+"{", nil), cause: checks.CauseMalformed, steps: "connect status body!", status: 200},
		"a reset":        {url: says(t, head+"{", func(c net.Conn, _ <-chan struct{}) { outboundtest.Reset(c) }), cause: checks.CauseConnect, steps: "connect status body!", status: 200},
		"a large header": {url: says(t, "HTTP/1.1 200 OK\r\nX-Big: "+strings.Repeat("x", 100<<10), nil), cause: checks.CauseResponseTooLarge, steps: "connect status!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := do(t, fetch.Request{URL: tc.url, Auth: fetch.Auth{Bearer: checktest.Secret(key)}})
			if a.Cause != tc.cause || steps(a) != tc.steps || a.Status != tc.status {
				t.Errorf("got %d %q (%s), evidence %s, want %d %q, evidence %s", a.Status, a.Cause, a.Summary, steps(a), tc.status, tc.cause, tc.steps)
			}
		})
	}
}

func TestABodyIsBounded(t *testing.T) {
	t.Parallel()
	url := outboundtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	a := do(t, fetch.Request{URL: url, MaxBody: 1000})
	if a.Cause != checks.CauseResponseTooLarge || len(a.Body) != 1000 || a.Status != http.StatusOK {
		t.Errorf("got %q with %d bytes, want response_too_large with 1000", a.Cause, len(a.Body))
	}
}

func TestAnExchangeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := says(t, "", func(_ net.Conn, done <-chan struct{}) { <-done })
	late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if a := fetch.Do(late, network(t), fetch.Request{URL: url}); a.Cause != checks.CauseTimeout || a.Result(late).Status != checks.Failed {
		t.Errorf("at the deadline: %q %s", a.Cause, a.Result(late).Status)
	}
	cut, stop := context.WithCancel(t.Context())
	stop()
	if r := fetch.Do(cut, network(t), fetch.Request{URL: url}).Result(cut); r.Status != checks.Unknown || r.Cause != checks.CauseInternal {
		t.Errorf("when it is cut short: %s %q", r.Status, r.Cause)
	}
}

func TestTLSOfItsOwn(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	certFile, keyFile, pool := ca.Client(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = ca.Config(t, outboundtest.Valid(), "app.test")
	server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, pool
	server.StartTLS()
	t.Cleanup(server.Close)
	good := fetch.TLS{CAFile: ca.File, ServerName: "app.test", CertFile: certFile, KeyFile: keyFile}
	nowhere := filepath.Join(t.TempDir(), "nowhere.pem")
	for name, tc := range map[string]struct {
		change func(*fetch.TLS)
		cause  checks.Cause
		reason string
	}{
		"all of it":                {change: func(*fetch.TLS) {}},
		"without the authority":    {change: func(o *fetch.TLS) { o.CAFile = "" }, cause: checks.CauseTLS, reason: "unknown_ca"},
		"without the name":         {change: func(o *fetch.TLS) { o.ServerName = "" }, cause: checks.CauseTLS, reason: "wrong_host"},
		"without a certificate":    {change: func(o *fetch.TLS) { o.CertFile, o.KeyFile = "", "" }, cause: checks.CauseTLS, reason: "alert"},
		"an authority of nowhere":  {change: func(o *fetch.TLS) { o.CAFile = nowhere }, cause: checks.CauseConfig, reason: "ca_file"},
		"an authority that is key": {change: func(o *fetch.TLS) { o.CAFile = keyFile }, cause: checks.CauseConfig, reason: "ca_file"},
		"a key of nowhere":         {change: func(o *fetch.TLS) { o.KeyFile = nowhere }, cause: checks.CauseConfig, reason: "client_certificate"},
		"a key that is none":       {change: func(o *fetch.TLS) { o.KeyFile = certFile }, cause: checks.CauseConfig, reason: "client_certificate"},
	} {
		own := good
		tc.change(&own)
		a := do(t, fetch.Request{URL: server.URL, TLS: own})
		if a.Cause != tc.cause || a.Reason != tc.reason || (tc.cause == "" && string(a.Body) != "windsock test") {
			t.Errorf("%s: got %q %q (%s), want %q %q", name, a.Cause, a.Reason, a.Summary, tc.cause, tc.reason)
		}
	}
}

func TestParametersThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	secret := checktest.Secret(key)
	for name, err := range map[string]error{
		"two ways":                  fetch.Auth{Bearer: secret, Basic: fetch.Basic{Username: "me", Password: secret}}.Validate("auth"),
		"a user without a password": fetch.Auth{Basic: fetch.Basic{Username: "me"}}.Validate("auth"),
		"a password without a user": fetch.Auth{Basic: fetch.Basic{Password: secret}}.Validate("auth"),
		"a user with a colon":       fetch.Auth{Basic: fetch.Basic{Username: "m:e", Password: secret}}.Validate("auth"),
		"a header that is none":     fetch.Auth{Headers: map[string]checks.Secret{"a b": secret}}.Validate("auth"),
		"a header without a source": fetch.Auth{Headers: map[string]checks.Secret{"X-Key": {}}}.Validate("auth"),
		"the agent's own header":    fetch.Auth{Headers: map[string]checks.Secret{"host": secret}}.Validate("auth"),
		"a header given twice":      fetch.Auth{Bearer: secret, Headers: map[string]checks.Secret{"authorization": secret}}.Validate("auth"),
		"a certificate alone":       fetch.TLS{CertFile: "a"}.Validate("tls"),
		"a plain credential":        fetch.ValidHeaders("headers", map[string]string{"Authorization": "Bearer x"}),
		"a header of two lines":     fetch.ValidHeaders("headers", map[string]string{"X-A": "a\nb"}),
		"a file":                    fetch.ValidURL("url", "file:///etc/passwd"),
		"no URL":                    fetch.ValidURL("url", "127.0.0.1:80/health"),
		"a URL with a password":     fetch.ValidURL("url", "http://me:"+key+"@app.test/"),
		"a URL with a fragment":     fetch.ValidURL("url", "http://app.test/#a"),
	} {
		if err == nil {
			t.Errorf("%s was not refused", name)
		} else if checktest.Leak(err.Error(), key) != "" {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"nothing": fetch.Auth{}.Validate("auth"), "a token": fetch.Auth{Bearer: secret}.Validate("auth"),
		"a user": fetch.Auth{Basic: fetch.Basic{Username: "me", Password: secret}, Headers: map[string]checks.Secret{"X-Key": secret}}.Validate("auth"),
		"no TLS": fetch.TLS{}.Validate("tls"), "headers": fetch.ValidHeaders("headers", map[string]string{"X-A": "b"}), "a URL": fetch.ValidURL("url", "https://app.test/health?full=1"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
