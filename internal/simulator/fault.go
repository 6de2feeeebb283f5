package simulator

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Routes that a fault may name.
const (
	RouteAny        = "*"
	RouteModels     = "models"     // GET /v1/models
	RouteModel      = "model"      // GET /v1/models/{id}
	RouteChat       = "chat"       // POST /v1/chat/completions
	RouteEmbeddings = "embeddings" // POST /v1/embeddings
	RouteBilling    = "billing"    // GET /v1/admin/usage, spend-limit, rate-limit
)

// Fault is one misbehaviour and the requests it is for. The keys are the same in a scenario file and at POST
// /admin/faults. A fault may hold several misbehaviours; where several faults match one request they all apply, and where
// two say the same thing the later one wins. Times are as on a real clock; Options.Speed divides them.
type Fault struct {
	// Which requests. Catalogue faults (alias_moved, model_retired, model_unlisted) are for everybody and take none of these.
	Route       string   `yaml:"route,omitempty"`       // "*" (the default), models, model, chat, embeddings, billing
	Model       string   `yaml:"model,omitempty"`       // the id as asked for
	Key         string   `yaml:"key,omitempty"`         // an API key, or its fingerprint as in the stats
	Probability *float64 `yaml:"probability,omitempty"` // 0 to 1; always where absent; drawn from the seed
	Count       int      `yaml:"count,omitempty"`       // how many requests it hits; all where 0

	// What is answered instead.
	Error      string            `yaml:"error,omitempty"`       // a preset: status, body and headers as Mistral sends them; see Errors
	Status     int               `yaml:"status,omitempty"`      // 200 to 599
	Body       string            `yaml:"body,omitempty"`        // its shape; see Shapes; json where only the status is given
	Message    string            `yaml:"message,omitempty"`     // the text in it
	Headers    map[string]string `yaml:"headers,omitempty"`     // added to every answer, or replaced
	RetryAfter string            `yaml:"retry_after,omitempty"` // "5s" is sent as whole seconds, anything else as it stands
	Redirect   string            `yaml:"redirect,omitempty"`    // Location; 307 where the status is not given
	EchoKey    bool              `yaml:"echo_key,omitempty"`    // the Authorization header is quoted in the error's text
	HugeBody   int64             `yaml:"huge_body,omitempty"`   // bytes
	GzipBomb   int64             `yaml:"gzip_bomb,omitempty"`   // bytes after decompression

	// When. Latency is before the header; time_to_first_token and inter_chunk_gap are within a stream, and before an
	// answer that is not streamed.
	Latency          time.Duration `yaml:"latency,omitempty"`
	Jitter           time.Duration `yaml:"jitter,omitempty"` // latency ± a seeded share of this
	TimeToFirstToken time.Duration `yaml:"time_to_first_token,omitempty"`
	InterChunkGap    time.Duration `yaml:"inter_chunk_gap,omitempty"`
	SlowLoris        time.Duration `yaml:"slow_loris,omitempty"` // between two bytes of the body

	// How it breaks off. Chunks are counted from the first non-empty one, tokens that is; an answer that is not streamed
	// is cut in its middle.
	StallAfter    *int   `yaml:"stall_after,omitempty"`    // then silence with the connection open
	TruncateAfter *int   `yaml:"truncate_after,omitempty"` // then an orderly end without [DONE]
	ErrorFrame    *int   `yaml:"error_frame,omitempty"`    // then an error object within the stream
	Reset         string `yaml:"reset,omitempty"`          // before_header, mid_body (TCP RST), eof (closed in the middle)
	EmptyContent  bool   `yaml:"empty_content,omitempty"`  // 200, stop, and nothing said

	// What the account and the catalogue are.
	Quota         *Quota      `yaml:"quota,omitempty"`
	NoAllowance   bool        `yaml:"no_allowance,omitempty"`  // 429 with a limit of 0: not on the plan
	KeyRevoked    bool        `yaml:"key_revoked,omitempty"`   // 401
	LimitHeaders  string      `yaml:"limit_headers,omitempty"` // classic, by_size, none: the family of rate-limit headers
	AliasMoved    *AliasMoved `yaml:"alias_moved,omitempty"`
	ModelRetired  *ModelID    `yaml:"model_retired,omitempty"`  // a canonical id takes its aliases along
	ModelUnlisted *ModelID    `yaml:"model_unlisted,omitempty"` // not in the list; calls still work
}

// Quota is an allowance per minute, counting down to a 429. The minute is divided by Options.Speed. It counts the paid
// routes, unless the fault names another.
type Quota struct {
	RequestsPerMinute int64 `yaml:"requests_per_minute"`
}

// AliasMoved makes an alias stand for another model.
type AliasMoved struct {
	Alias string `yaml:"alias"`
	To    string `yaml:"to"`
}

// ModelID names a model or an alias.
type ModelID struct {
	ID string `yaml:"id"`
}

// Shapes are the bodies that a fault can have: Mistral's own error object, the two FastAPI shapes, an error whose message
// is an object, the gateway's, a page of the network in front of it, nothing, and four that are not what they say.
func Shapes() []string {
	return []string{
		"json", "detail", "detail_list", "nested_object", "kong", "html", "empty", "garbage", "invalid_utf8", "not_json_200",
	}
}

func (f *Fault) catalogue() bool {
	return f.AliasMoved != nil || f.ModelRetired != nil || f.ModelUnlisted != nil
}

// problem is one thing wrong with a fault; key is the YAML key that it is about.
type problem struct{ key, text string }

// Validate says everything that is wrong with the fault, in one error.
func (f *Fault) Validate() error {
	var all []string
	for _, p := range f.problems() {
		all = append(all, p.key+": "+p.text)
	}
	if len(all) > 0 {
		return fmt.Errorf("fault: %s", strings.Join(all, "; "))
	}
	return nil
}

func (f *Fault) problems() []problem {
	out := f.wordProblems()
	out = append(out, f.numberProblems()...)
	out = append(out, f.catalogueProblems()...)
	if len(out) == 0 && f.harmless() {
		out = append(out, problem{"", "says which requests, not what goes wrong with them; want status, error, latency, reset or another misbehaviour"})
	}
	return out
}

func (f *Fault) wordProblems() []problem {
	var out []problem
	oneOf := func(key, got string, want []string) {
		if got != "" && !slices.Contains(want, got) {
			out = append(out, problem{key, fmt.Sprintf("%q, want one of %s", got, strings.Join(want, ", "))})
		}
	}
	oneOf("route", f.Route, []string{RouteAny, RouteModels, RouteModel, RouteChat, RouteEmbeddings, RouteBilling})
	oneOf("error", f.Error, Errors())
	oneOf("body", f.Body, Shapes())
	oneOf("reset", f.Reset, []string{"before_header", "mid_body", "eof"})
	oneOf("limit_headers", f.LimitHeaders, []string{"classic", "by_size", "none"})
	if f.Error != "" && (f.Status != 0 || f.Body != "") {
		out = append(out, problem{"error", "is a status and a body already; leave status and body out, or error"})
	}
	if slices.Contains([]string{"json", "detail", "detail_list", "nested_object", "kong"}, f.Body) && f.Status == 0 && !f.EchoKey {
		out = append(out, problem{"body", fmt.Sprintf("%q is an error and needs a status", f.Body)})
	}
	if f.Message != "" && f.Error == "" && f.Status == 0 && !f.EchoKey && f.ErrorFrame == nil {
		out = append(out, problem{"message", "is the text of an error and needs status, error, echo_key or error_frame"})
	}
	for name, value := range f.Headers {
		if !validHeader(name, value) {
			out = append(out, problem{"headers", fmt.Sprintf("%q is not a header that can be sent", name)})
		}
	}
	slices.SortStableFunc(out, func(a, b problem) int { return strings.Compare(a.key, b.key) })
	if strings.ContainsAny(f.RetryAfter+f.Redirect, "\r\n") {
		out = append(out, problem{"", "retry_after and redirect are one line each"})
	}
	return out
}

func (f *Fault) numberProblems() []problem {
	var out []problem
	check := func(ok bool, key, want string) {
		if !ok {
			out = append(out, problem{key, "want " + want})
		}
	}
	if p := f.Probability; p != nil {
		check(*p >= 0 && *p <= 1, "probability", "0 to 1") // false for NaN too
	}
	check(f.Count >= 0, "count", "0 (every request) or more")
	check(f.Status == 0 || (f.Status >= 200 && f.Status <= 599), "status", "200 to 599")
	check(f.Redirect == "" || f.Status == 0 || f.Status/100 == 3, "status", "300 to 399 beside redirect")
	check(f.HugeBody >= 0 && f.HugeBody <= 1<<40, "huge_body", "a number of bytes, at most 1 TiB")
	check(f.GzipBomb >= 0 && f.GzipBomb <= 1<<40, "gzip_bomb", "a number of bytes, at most 1 TiB")
	for key, d := range map[string]time.Duration{
		"latency": f.Latency, "jitter": f.Jitter, "time_to_first_token": f.TimeToFirstToken, "inter_chunk_gap": f.InterChunkGap, "slow_loris": f.SlowLoris,
	} {
		check(d >= 0 && d <= 24*time.Hour, key, "0 to 24h")
	}
	for key, n := range map[string]*int{"stall_after": f.StallAfter, "truncate_after": f.TruncateAfter, "error_frame": f.ErrorFrame} {
		check(n == nil || *n >= 0, key, "a number of chunks, 0 or more")
	}
	if q := f.Quota; q != nil {
		check(q.RequestsPerMinute >= 0, "quota.requests_per_minute", "0 or more")
	}
	slices.SortFunc(out, func(a, b problem) int { return strings.Compare(a.key, b.key) })
	return out
}

func (f *Fault) catalogueProblems() []problem {
	if !f.catalogue() {
		return nil
	}
	var out []problem
	known, err := loadCatalogue(time.Time{})
	if err != nil {
		return []problem{{"", err.Error()}}
	}
	keys := 0
	check := func(key, parts string, ids ...string) {
		keys++
		if slices.Contains(ids, "") {
			out = append(out, problem{key, "want " + parts})
			return
		}
		if id := ids[len(ids)-1]; known.models[id] == nil {
			out = append(out, problem{key, fmt.Sprintf("%q is not in the catalogue; GET /v1/models lists it", id)})
		}
	}
	if a := f.AliasMoved; a != nil {
		check("alias_moved", "alias and to", a.Alias, a.To)
	}
	if m := f.ModelRetired; m != nil {
		check("model_retired", "id", m.ID)
	}
	if m := f.ModelUnlisted; m != nil {
		check("model_unlisted", "id", m.ID)
	}
	rest := *f
	rest.AliasMoved, rest.ModelRetired, rest.ModelUnlisted = nil, nil, nil
	if rest.Route == RouteAny {
		rest.Route = ""
	}
	if keys > 1 || !reflect.ValueOf(rest).IsZero() {
		out = append(out, problem{"", "a change of the catalogue is for every request and stands alone in its fault"})
	}
	return out
}

// harmless reports that nothing would go wrong.
func (f *Fault) harmless() bool {
	rest := *f
	rest.Route, rest.Model, rest.Key, rest.Probability, rest.Count = "", "", "", nil, 0
	return reflect.ValueOf(rest).IsZero()
}

func validHeader(name, value string) bool {
	if name == "" || strings.ContainsAny(value, "\r\n\x00") {
		return false
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) {
			return false
		}
	}
	return true
}

// active is a fault at work: its own count and its own luck, so that what one fault does never moves another's dice.
type active struct {
	id    int
	fault Fault
	left  int // of count
	luck  *rand.Rand
	quota window
}

func activate(id int, f Fault, seed int64) *active {
	return &active{id: id, fault: f, left: f.Count, luck: rand.New(rand.NewPCG(uint64(seed), uint64(id)))} //nolint:gosec // repeatable on purpose
}

// call is what a fault can match on.
type call struct{ route, model, key string }

func (c call) paid() bool { return c.route == RouteChat || c.route == RouteEmbeddings }

// hits reports whether the fault is for this call, and uses up one of its count.
func (a *active) hits(c call) bool {
	f := &a.fault
	if f.catalogue() || (f.Count > 0 && a.left == 0) {
		return false
	}
	switch {
	case f.Route != "" && f.Route != RouteAny && f.Route != c.route,
		f.Model != "" && f.Model != c.model,
		f.Key != "" && f.Key != c.key && f.Key != Fingerprint(c.key),
		(f.Quota != nil || f.NoAllowance) && f.Route != c.route && !c.paid():
		return false
	}
	if f.Probability != nil && a.luck.Float64() >= *f.Probability {
		return false
	}
	if f.Count > 0 {
		a.left--
	}
	return true
}

// merge lays g over f: what g says, it says last.
func (f *Fault) merge(g *Fault) {
	if g.Error != "" || g.Status != 0 || g.Body != "" {
		f.Error, f.Status, f.Body = g.Error, g.Status, g.Body
	}
	later(&f.Message, g.Message)
	later(&f.RetryAfter, g.RetryAfter)
	later(&f.Redirect, g.Redirect)
	later(&f.EchoKey, g.EchoKey)
	later(&f.HugeBody, g.HugeBody)
	later(&f.GzipBomb, g.GzipBomb)
	if g.Latency != 0 || g.Jitter != 0 {
		f.Latency, f.Jitter = g.Latency, g.Jitter
	}
	later(&f.TimeToFirstToken, g.TimeToFirstToken)
	later(&f.InterChunkGap, g.InterChunkGap)
	later(&f.SlowLoris, g.SlowLoris)
	later(&f.StallAfter, g.StallAfter)
	later(&f.TruncateAfter, g.TruncateAfter)
	later(&f.ErrorFrame, g.ErrorFrame)
	later(&f.Reset, g.Reset)
	later(&f.EmptyContent, g.EmptyContent)
	later(&f.NoAllowance, g.NoAllowance)
	later(&f.KeyRevoked, g.KeyRevoked)
	later(&f.LimitHeaders, g.LimitHeaders)
	if len(g.Headers) > 0 {
		headers := maps.Clone(f.Headers)
		if headers == nil {
			headers = map[string]string{}
		}
		maps.Copy(headers, g.Headers)
		f.Headers = headers
	}
}

func later[T comparable](old *T, said T) {
	var zero T
	if said != zero {
		*old = said
	}
}

// retryAfter is the header's value, "" for none.
func (f *Fault) retryAfter(speed float64) string {
	d, err := time.ParseDuration(f.RetryAfter)
	if err != nil || d < 0 || f.RetryAfter == "0" {
		return f.RetryAfter
	}
	return fmt.Sprintf("%.0f", math.Ceil(d.Seconds()/speed))
}

// refuses reports that the fault answers in the place of the route.
func (f *Fault) refuses() bool {
	return f.Error != "" || f.Status != 0 || f.Body != "" || f.Redirect != "" || f.EchoKey || f.HugeBody > 0 || f.GzipBomb > 0
}

// refusal is the answer that the fault puts in the place of the real one.
func (f *Fault) refusal() failure {
	switch {
	case f.Error != "":
		e := presets()[f.Error]
		later(&e.message, f.Message)
		return e
	case f.Redirect != "":
		return failure{status: orElse(f.Status, http.StatusTemporaryRedirect), shape: "empty", headers: map[string]string{"Location": f.Redirect}}
	case f.Status == 0 && f.Body == "" && f.EchoKey:
		return failure{status: http.StatusUnauthorized, shape: "detail", message: orElse(f.Message, "Invalid API Key")}
	}
	shape := orElse(f.Body, "json")
	status := f.Status
	if status == 0 {
		status = http.StatusOK
		if f.EchoKey {
			status = http.StatusUnauthorized
		}
	}
	e := generic(status)
	e.shape = shape
	later(&e.message, f.Message)
	return e
}

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
