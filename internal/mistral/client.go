package mistral

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const (
	defaultMaxBody    = 4 << 20
	defaultStallAfter = 10 * time.Second
	// maxErrorBody is how much of an error's body is read.
	maxErrorBody = 64 << 10
	maxSummary   = 240
)

// Client implements API with one key: each call is exactly one HTTP request. After a 401 the key is re-read for the next
// call, never sent again in this one; Keyed is who makes a call again. It is safe for concurrent use.
type Client struct {
	base  string // ends in /v1
	https bool
	o     Options
	keys  *keys
}

// maxKnown is how many keys are taken out of texts: a rotated one as it was and as it is, and likewise a fallback key.
const maxKnown = 4

// keys is what the clients of a provider know of the keys that were used last.
type keys struct {
	seed  maphash.Seed
	known atomic.Pointer[known]
}

// known is the keys that were used last, the newest first, with what takes them out of texts, which is work to make.
type known struct {
	keys  []string
	scrub credential.Scrubber
}

// sum tells keys apart without keeping them. It means nothing in another process.
func (k *keys) sum(key string) uint64 { return maphash.String(k.seed, key) }

// scrubber takes a key, and those that were used before it, out of texts.
func (k *keys) scrubber(key string) credential.Scrubber {
	for {
		last := k.known.Load()
		var all []string
		if last != nil {
			all = last.keys
		}
		if slices.Contains(all, key) {
			return last.scrub
		}
		all = append([]string{key}, all[:min(len(all), maxKnown-1)]...)
		next := &known{all, credential.NewScrubber(all, nil)}
		if k.known.CompareAndSwap(last, next) {
			return next.scrub
		}
	}
}

// New checks the options. It reads no secret and opens no connection. A base URL may have a path, and may end in /v1.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.BaseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, errors.New("base_url: want an http or https URL, for example https://api.mistral.ai")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("base_url: want a URL without user, query and fragment; keys belong in api_key")
	}
	if o.Out == nil {
		return nil, errors.New("no way out: Options.Out is nil")
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.StallAfter <= 0 {
		o.StallAfter = defaultStallAfter
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	return &Client{base: u.Scheme + "://" + u.Host + path + "/v1", https: u.Scheme == "https", o: o, keys: &keys{seed: maphash.MakeSeed()}}, nil
}

var _ API = (*Client)(nil)

// BaseURL is the address that every path is appended to; it ends in /v1. Prices depend on its host.
func (c *Client) BaseURL() string { return c.base }

// request is one call as this package wants it.
type request struct {
	method, path string
	payload      any // nil for none
	stream       bool
	private      []string // words of the caller that must not come back in a text
}

// exchange is one call under way. Its verdict is set once: the first that is found counts.
type exchange struct {
	client *Client
	call   Call
	key    string
	scrub  credential.Scrubber
	ctx    context.Context //nolint:containedctx // the call's own, which ends with it
	cancel context.CancelCauseFunc
	header http.Header
	body   outbound.BodyReader
	judged bool
}

// begin reads the key and sends the request. Where that fails the exchange is judged and has no body.
func (c *Client) begin(ctx context.Context, r request) *exchange {
	own, cancel := context.WithCancelCause(ctx)
	x := &exchange{client: c, scrub: credential.NewScrubber(nil, r.private), ctx: own, cancel: cancel}
	x.call.Timings.Start = time.Now()
	key, err := credential.Token(ctx, c.o.APIKey)
	if err != nil {
		text := outbound.Sanitize(err.Error(), maxSummary)
		x.judge(checks.CauseConfig, "key", "the API key cannot be used: "+text)
		x.step("key", false, text)
		return x
	}
	x.key = key
	x.scrub = c.keys.scrubber(key).For(r.private)
	x.step("key", true, "read from "+c.o.APIKey.Used())
	wire, err := c.wire(r, key)
	if err != nil {
		x.judge(checks.CauseConfig, "request", "the request cannot be written as JSON")
		return x
	}
	answer, err := c.o.Out.Open(own, wire)
	if err != nil {
		x.lost(err)
		return x
	}
	x.body, x.header = answer.Body, answer.Header
	x.path(nil)
	x.headers(answer)
	if answer.Status < 200 || answer.Status > 299 {
		x.refused(ctx, answer.Status)
	}
	return x
}

func (c *Client) wire(r request, key string) (outbound.Request, error) {
	header := http.Header{"Authorization": {"Bearer " + key}, "Accept": {"application/json"}}
	out := outbound.Request{
		Method: r.method, URL: c.base + r.path, Header: header, MaxBody: c.o.MaxBody, Reuse: c.o.ReuseConnections,
	}
	if r.stream {
		header.Set("Accept", "text/event-stream")
		header.Set("Accept-Encoding", "identity") // compression holds chunks back
	}
	if r.payload == nil {
		return out, nil
	}
	header.Set("Content-Type", "application/json")
	body, err := json.Marshal(r.payload)
	out.Body = body
	return out, err
}

// headers keeps what the header tells.
func (x *exchange) headers(answer *outbound.Response) {
	x.call.Status = answer.Status
	x.call.RequestID = x.scrub.Line(requestID(answer.Header), 128)
	x.call.Limits = parseLimits(answer.Header)
	x.call.QueryCost = queryCost(answer.Header)
	x.call.Upstream = upstream(answer.Header)
	x.call.RetryIn = retryAfter(answer.Header.Get("Retry-After"), time.Now())
	if answer.Status < 300 {
		x.call.Retires = parseTime(answer.Header.Get("X-Model-Deprecation-Timestamp"))
	}
}

// refused judges an answer that is not a success.
func (x *exchange) refused(ctx context.Context, status int) {
	body, _ := io.ReadAll(io.LimitReader(x.body, maxErrorBody)) // the status stands, whatever becomes of the body
	v := Classify(status, x.header, body)
	detail := fmt.Sprintf("%d %s", status, http.StatusText(status))
	if status == http.StatusUnauthorized {
		changed, said := credential.Renewed(ctx, x.client.o.APIKey, x.key)
		x.call.refused = refused{sum: x.client.keys.sum(x.key), renewed: changed}
		detail += ": " + said
	}
	x.step("status", false, detail)
	x.verdict(v, status)
}

// verdict takes over what the classifier found, with the server's words as evidence.
func (x *exchange) verdict(v Verdict, status int) {
	summary := fmt.Sprintf("%d %s", status, v.Cause)
	switch {
	case v.Code != "":
		summary += fmt.Sprintf(" (code %s)", v.Code)
	case v.Reason != "" && v.Reason != fmt.Sprintf("http_%d", status):
		summary += fmt.Sprintf(" (%s)", v.Reason)
	}
	x.judge(v.Cause, v.Reason, summary)
	var said []string
	if v.Type != "" {
		said = append(said, "type "+v.Type)
	}
	if v.Code != "" {
		said = append(said, "code "+v.Code)
	}
	if v.Detail != "" {
		said = append(said, v.Detail)
	}
	x.step("body", false, strings.Join(said, ", "))
}

// lost judges an error of the transport.
func (x *exchange) lost(err error) {
	f, ok := errors.AsType[*outbound.Failure](err)
	if !ok {
		f = &outbound.Failure{Cause: checks.CauseInternal, Reason: "transport", Err: err}
	}
	x.call.Deadline = f.Deadline
	if x.body == nil {
		x.call.Timings = f.Timings
		x.path(f)
	} else {
		x.step("body", false, f.Error())
	}
	x.judge(f.Cause, f.Reason, fmt.Sprintf("%s: %s", f.Cause, f.Error()))
}

// judge sets the verdict, once.
func (x *exchange) judge(cause checks.Cause, reason, summary string) {
	if x.judged {
		return
	}
	x.judged = true
	x.call.Cause, x.call.Reason = cause, x.scrub.Line(reason, 64)
	x.call.Summary = x.scrub.Line(summary, maxSummary)
}

// path adds the steps from the name to the encrypted connection, up to the failure where there is one.
func (x *exchange) path(f *outbound.Failure) {
	t := x.call.Timings
	if x.body != nil {
		t = x.body.Timings()
	}
	for _, s := range t.Trail(f) {
		x.step(s.Name, s.OK, s.Detail)
	}
}

func (x *exchange) step(name string, ok bool, detail string) {
	x.call.Evidence = append(x.call.Evidence, checks.Step{Name: name, OK: ok, Detail: x.scrub.Line(detail, maxSummary)})
}

// whole reads the body of a success and decodes it. It reports whether there is anything to look at.
func (x *exchange) whole(into any) bool {
	if x.judged {
		return false
	}
	return x.decoded(x.body, into)
}

func (x *exchange) decoded(body io.Reader, into any) bool {
	x.step("status", true, fmt.Sprintf("%d %s", x.call.Status, http.StatusText(x.call.Status)))
	data, err := io.ReadAll(body)
	if err != nil {
		x.lost(err)
		return false
	}
	return x.parsed(data, into)
}

// parsed decodes the JSON of a success. An error object under a 200 is the error that it says.
func (x *exchange) parsed(data []byte, into any) bool {
	if reason := notJSON(data); reason != "" {
		x.judge(checks.CauseMalformed, reason, fmt.Sprintf("%d, but the body is not JSON (%s)", x.call.Status, reason))
		x.step("body", false, fmt.Sprintf("%s, %d bytes", reason, len(data)))
		return false
	}
	if isErrorObject(data) {
		x.verdict(classifyFrame(x.header, data), x.call.Status)
		return false
	}
	if err := decode(data, into); err != nil {
		x.judge(checks.CauseMalformed, "not_json", fmt.Sprintf("%d, but the body cannot be read", x.call.Status))
		x.step("body", false, "JSON that cannot be read")
		return false
	}
	return true
}

// notJSON names why a body is not JSON, "" where it is.
func notJSON(data []byte) string {
	switch trimmed := bytes.TrimSpace(data); {
	case len(trimmed) == 0:
		return "empty_body"
	case looksLikeHTML(trimmed):
		return "html"
	case !utf8.Valid(trimmed):
		return "utf8"
	case !json.Valid(trimmed):
		return "not_json"
	}
	return ""
}

func isErrorObject(data []byte) bool {
	if !bytes.Contains(bytes.ToLower(data), []byte("error")) && !bytes.Contains(data, []byte(`\u`)) {
		return false
	}
	var head struct {
		Object flexString `json:"object"`
		Error  any        `json:"error"`
	}
	return decode(data, &head) == nil && (head.Object == "error" || head.Error != nil)
}

// done closes the exchange and returns the call, a success where nothing else was found.
func (x *exchange) done(well string) Call {
	x.judge(checks.CauseNone, "", well)
	if x.body != nil {
		_ = x.body.Close()
		x.call.Timings = x.body.Timings()
	}
	x.cancel(nil)
	x.call.Phases = append(x.call.Timings.Phases(), x.call.Phases...)
	return x.call
}
