package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxRequest = 8 << 20 // bytes of a request body

// exchange is one request and its answer.
type exchange struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	call  call
	plan  plan
	fault *Fault // of the plan
	luck  *rand.Rand
	id    string
	began time.Time
	body  []byte
	quota *allowance // nil where the route has none
}

func newExchange(s *Server, w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{s: s, w: w, r: r, began: time.Now()}
}

// run is the road of a request: what the network does to it, what the gateway says of the key and the quota, then the
// route.
func (x *exchange) run() {
	route, known := x.route()
	x.call = call{route: route, key: bearer(x.r)}
	if key := x.r.Header.Get("X-Api-Key"); route == RouteBilling && key != "" {
		x.call.key = key
	}
	var tooBig *http.MaxBytesError
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxRequest))
	if err != nil && !errors.As(err, &tooBig) {
		return // the client left
	}
	x.body = body
	x.call.model = x.asked()
	x.plan = x.s.plan(x.call)
	x.fault = &x.plan.fault
	x.luck = rand.New(rand.NewPCG(uint64(x.s.opts.Seed), x.plan.number)) //nolint:gosec // repeatable on purpose
	x.id = x.requestID()
	switch {
	case known != nil:
		x.fail(*known)
	case tooBig != nil:
		x.fail(failure{status: http.StatusRequestEntityTooLarge, shape: "kong", message: "Request size limit exceeded"})
	default:
		x.meet()
	}
}

// meet plays the faults that come before the route.
func (x *exchange) meet() {
	if !x.wait(x.latency()) {
		x.abandon()
		return
	}
	if x.fault.Reset == "before_header" {
		x.count("reset")
		x.cut(true)
		return
	}
	refusal := x.fault.refusal()
	// A 4xx is the application's word, and it does not speak before the key was looked at.
	if x.fault.refuses() && refusal.status/100 != 4 {
		x.refuse(refusal)
		return
	}
	if e := x.authorize(); e != nil {
		x.fail(*e)
		return
	}
	if x.fault.refuses() {
		x.refuse(refusal)
		return
	}
	if e := x.admit(); e != nil {
		x.fail(*e)
		return
	}
	x.answer()
}

func (x *exchange) answer() {
	switch x.call.route {
	case RouteModels:
		x.reply(map[string]any{"object": "list", "data": x.plan.world.cards(time.Now())})
	case RouteModel:
		x.oneModel()
	case RouteChat:
		x.chat()
	case RouteEmbeddings:
		x.embeddings()
	case RouteBilling:
		x.billing()
	}
}

// route names the route, or what is said to a request that has none.
func (x *exchange) route() (string, *failure) {
	path := strings.TrimSuffix(x.r.URL.Path, "/")
	want := http.MethodGet
	var route string
	switch {
	case path == "/v1/models":
		route = RouteModels
	case strings.HasPrefix(path, "/v1/models/"):
		route = RouteModel
	case path == "/v1/chat/completions":
		route, want = RouteChat, http.MethodPost
	case path == "/v1/embeddings":
		route, want = RouteEmbeddings, http.MethodPost
	case slices.Contains(billingPages(), path):
		route = RouteBilling
	case strings.HasPrefix(path, "/v1/"):
		return "other", &failure{status: http.StatusNotFound, shape: "detail", message: "Not Found"}
	default:
		return "other", &failure{status: http.StatusNotFound, shape: "kong", message: "no Route matched with those values"}
	}
	if x.r.Method != want {
		return route, &failure{status: http.StatusMethodNotAllowed, shape: "detail", message: "Method Not Allowed", headers: map[string]string{"Allow": want}}
	}
	return route, nil
}

// asked is the model that the request names, read leniently: faults match on it before anything is judged.
func (x *exchange) asked() string {
	if x.call.route == RouteModel {
		return strings.TrimPrefix(strings.TrimSuffix(x.r.URL.Path, "/"), "/v1/models/")
	}
	var named struct {
		Model any `json:"model"`
	}
	if err := json.Unmarshal(x.body, &named); err != nil {
		return ""
	}
	id, _ := named.Model.(string)
	return id
}

func bearer(r *http.Request) string {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}

func (x *exchange) authorize() *failure {
	if x.call.route == RouteBilling {
		return x.authorizeBilling()
	}
	var name string
	switch {
	case x.call.key == "":
		name = "unauthorized"
	case x.fault.KeyRevoked, !x.s.keyAccepted(x.call.key):
		name = "invalid_api_key"
	default:
		return nil
	}
	e := presets()[name]
	return &e
}

func (x *exchange) admit() *failure {
	if x.fault.NoAllowance {
		x.quota = &allowance{}
		e := presets()["no_allowance"]
		e.headers = nil // those of the quota say it, in the family that is asked for
		return &e
	}
	if !x.call.paid() && len(x.plan.quotas) == 0 {
		return nil
	}
	q, ok := x.s.admit(x.call, &x.plan)
	x.quota = &q
	if !ok {
		e := presets()["rate_limited"]
		return &e
	}
	return nil
}

func (x *exchange) oneModel() {
	id := x.call.model
	m, retired := x.plan.world.find(id)
	switch {
	case retired:
		x.fail(failure{status: http.StatusNotFound, shape: "kong", message: fmt.Sprintf("Model %s is deprecated.", id)})
	case m == nil:
		x.fail(failure{status: http.StatusNotFound, shape: "kong", message: fmt.Sprintf("Model %s not found", id)})
	default:
		x.announce(m)
		x.reply(x.plan.world.card(id, time.Now()))
	}
}

// usable returns the model of a paid call, or why there is none.
func (x *exchange) usable(id string) (*model, *failure) {
	m, retired := x.plan.world.find(id)
	var name, message string
	switch {
	case retired:
		name, message = "model_not_in_use", fmt.Sprintf("Model %s is currently not in use.", id)
	case m == nil:
		name, message = "invalid_model", "Invalid model: "+id
	case m.Gate != "":
		name = m.Gate
	default:
		return m, nil
	}
	e := presets()[name]
	later(&e.message, message)
	return nil, &e
}

// announce puts the retirement time on answers about a model that has one. Both official clients look for this header;
// its format was never recorded.
func (x *exchange) announce(m *model) {
	if !m.retires.IsZero() {
		x.w.Header().Set("X-Model-Deprecation-Timestamp", m.retires.Format(time.RFC3339))
	}
}

// latency is the wait before the header.
func (x *exchange) latency() time.Duration {
	d := x.fault.Latency
	if x.fault.Jitter > 0 {
		d += time.Duration((2*x.luck.Float64() - 1) * float64(x.fault.Jitter))
	}
	return max(d, 0)
}

// wait lasts d on the compressed clock and reports whether the client is still there.
func (x *exchange) wait(d time.Duration) bool {
	d = time.Duration(float64(d) / x.s.speed)
	if d <= 0 {
		return x.r.Context().Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

// requestID is a UUIDv7 whose random part comes from the seed.
func (x *exchange) requestID() string {
	ms := uint64(x.began.UnixMilli())
	a, b := x.luck.Uint64(), x.luck.Uint64()
	return fmt.Sprintf("%08x-%04x-7%03x-%04x-%012x", uint32(ms>>16), uint16(ms), a&0xfff, 0x8000|(b>>48)&0x3fff, b&0xffffffffffff)
}

// count books the request, before its answer is sent: who has the answer finds it in the stats.
func (x *exchange) count(status string) {
	x.s.count(x.call.route, status, x.call.key)
	x.s.log.Debug("request served", "route", x.call.route, "status", status, "request_id", x.id)
}

// abandon is for a client that left before there was an answer.
func (x *exchange) abandon() {
	x.count("abandoned")
	panic(http.ErrAbortHandler)
}

// headers are on every answer, as Cloudflare, Kong and Envoy leave them.
func (x *exchange) headers(tokens int) {
	h := x.w.Header()
	took := time.Since(x.began).Milliseconds()
	h.Set("Server", "cloudflare")
	h.Set("Cf-Ray", x.id[24:]+"-CDG")
	h.Set("Cf-Cache-Status", "DYNAMIC")
	h.Set("Mistral-Correlation-Id", x.id)
	h.Set("X-Kong-Request-Id", x.id)
	h.Set("X-Kong-Proxy-Latency", "1")
	h.Set("X-Kong-Upstream-Latency", strconv.FormatInt(took+1, 10))
	h.Set("X-Envoy-Upstream-Service-Time", strconv.FormatInt(took, 10))
	if x.quota != nil {
		x.quota.tokens = int64(tokens)
		x.quota.put(h, x.fault.LimitHeaders)
	}
}
