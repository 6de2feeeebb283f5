// Package promql asks a server that speaks the Prometheus HTTP API by instant and range queries, and reads what it
// answers. It judges no number, and asks for nothing else: it cannot write.
package promql

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	maxBody    = 1 << 20 // of one answer: three to nine thousand series
	longestGet = 2000    // bytes of an encoded query; servers and proxies bound the URL at 4 to 8 KiB
)

// Server is where to ask, and how. It is safe for concurrent use.
type Server struct {
	URL     string // without /api/v1
	Auth    fetch.Auth
	Headers map[string]string
	TLS     fetch.TLS
	Out     outbound.Exchanger
}

// Problem is why there is no number.
type Problem struct {
	Status checks.Status
	Cause  checks.Cause
	Blame  checks.Blame // BlameNone: the cause's own
	Step   string       // in the evidence: query, or value
	Text   string       // one line
}

// failed is a server that did not do what it should.
func failed(cause checks.Cause, text string) *Problem {
	return &Problem{Status: checks.Failed, Cause: cause, Blame: honest(cause), Step: "query", Text: text}
}

// Unusable is an answer that no number can be made of, because of how the query is written.
func Unusable(text string) *Problem {
	return &Problem{Status: checks.Unknown, Cause: checks.CauseBadRequest, Step: "value", Text: text}
}

// honest is whose fault a cause is here, BlameNone where the table of causes tells. The server is our own, and so are the
// credentials for it: neither the provider nor its account has anything to do with it.
func honest(cause checks.Cause) checks.Blame {
	switch cause.Blame() { //nolint:exhaustive // the other blames are as true here
	case checks.BlameProvider, checks.BlameAccount:
		return checks.BlameOurs
	}
	return checks.BlameNone
}

// Instant makes one instant query, evaluated at a time, or by the server's clock now where that is zero. The exchange is
// never nil.
func (s *Server) Instant(ctx context.Context, query string, at time.Time) (*fetch.Answer, Answer, *Problem) {
	values := url.Values{"query": {query}}
	if !at.IsZero() {
		values.Set("time", unix(at))
	}
	a, trouble := s.exchange(ctx, "/api/v1/query", values)
	if trouble != nil {
		return a, Answer{}, trouble
	}
	got, trouble := read(a)
	return a, got, trouble
}

// Span is the time that a range query looks at: steps from its end back.
type Span struct {
	End    time.Time
	Length time.Duration
	Step   time.Duration
}

// Range makes one range query. The exchange is never nil.
func (s *Server) Range(ctx context.Context, query string, over Span) (*fetch.Answer, Matrix, *Problem) {
	a, trouble := s.exchange(ctx, "/api/v1/query_range", url.Values{
		"query": {query}, "start": {unix(over.End.Add(-over.Length))}, "end": {unix(over.End)},
		"step": {strconv.FormatFloat(over.Step.Seconds(), 'f', -1, 64)},
	})
	if trouble != nil {
		return a, Matrix{}, trouble
	}
	got, trouble := readMatrix(a)
	return a, got, trouble
}

// unix is a time as the API reads it, to the millisecond.
func unix(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', -1, 64)
}

func (s *Server) exchange(ctx context.Context, path string, values url.Values) (*fetch.Answer, *Problem) {
	a := fetch.Do(ctx, s.Out, s.request(path, values))
	if a.Cause == checks.CauseNone {
		return a, nil
	}
	r := a.Result(ctx)
	return a, &Problem{Status: r.Status, Cause: r.Cause, Blame: honest(r.Cause), Step: "query", Text: r.Summary}
}

func (s *Server) request(path string, values url.Values) fetch.Request {
	header := http.Header{"Accept": {"application/json"}}
	for name, value := range s.Headers {
		header.Set(name, value)
	}
	req := fetch.Request{
		Method: http.MethodGet, URL: strings.TrimRight(s.URL, "/") + path, Header: header,
		Auth: s.Auth, TLS: s.TLS, MaxBody: maxBody,
	}
	form := values.Encode()
	if len(form) <= longestGet {
		req.URL += "?" + form
		return req
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Method, req.Body = http.MethodPost, []byte(form)
	return req
}

// ValidURL reports what is wrong with a Server's URL, which stands at path.
func ValidURL(path, text string) error {
	if err := fetch.ValidURL(path, text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.RawQuery != "":
		return checks.Invalid(path, "it has a query, want the base URL alone, such as http://127.0.0.1:9090")
	case strings.Contains(u.Path+"/", "/api/v1/"):
		return checks.Invalid(path, "it ends in the path of the API, want what stands before /api/v1")
	}
	return nil
}
