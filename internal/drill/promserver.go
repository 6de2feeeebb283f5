package drill

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	promcheck "github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// question is one query that the configuration asks, and what it is answered on a good day.
type question struct {
	name string
	by   []string
	good float64
}

// counter is tokens that a spend check reads and prices. What it reads and is no counter of tokens is dollars.
type counter struct{ metric, model, direction, output string } // name, labels, and the value for tokens of the answer

// dollarsPerToken is what a token of the answer costs of the model that the drill spends on: 0.60 a million (Mistral's price
// page of 2026-08-21).
const dollarsPerToken = 0.60 / 1e6

const (
	goodHour     = 0.5 // US dollars
	costHour     = traffic.CostHour
	spendOnModel = "mistral-small-2603"
)

// promServer is a Prometheus that knows the answers to the configuration's own questions.
type promServer struct {
	questions map[string]question // by query
	counters  []counter

	mu   sync.Mutex // guards said
	said map[string]float64
}

func newPromServer() *promServer {
	return &promServer{questions: map[string]question{}, said: map[string]float64{}}
}

// ask adds the questions of a check.
func (p *promServer) ask(params promcheck.Params) {
	for _, q := range params.Queries {
		p.questions[strings.TrimSpace(q.Query)] = question{q.Name, q.By, within(q.Above, q.Below)}
	}
	if params.Preset == "" {
		return
	}
	good := map[string]float64{traffic.LatencyP95: 0.8, traffic.LatencyTop: 30, costHour: goodHour}
	for _, q := range traffic.Questions(params.Metrics) {
		own := slices.ContainsFunc(params.Queries, func(o promcheck.Query) bool { return o.Name == q.Name })
		if !own {
			p.questions[strings.TrimSpace(q.PromQL)] = question{q.Name, q.By, good[q.Name]}
		}
	}
}

// within is a number that neither bound minds.
func within(above, below *float64) float64 {
	switch {
	case above != nil && below != nil:
		return (*above + *below) / 2
	case above != nil:
		return min(0, *above-1)
	case below != nil:
		return max(0, *below+1)
	}
	return 0
}

func (p *promServer) say(answers map[string]float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = maps.Clone(answers)
	if p.said == nil {
		p.said = map[string]float64{}
	}
}

func (p *promServer) answer(name string, good float64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.said[name]; ok {
		return v
	}
	return good
}

// sample is one series of an answer.
type sample struct {
	labels map[string]string
	value  float64
}

// ServeHTTP implements http.Handler.
func (p *promServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	at := time.Now()
	if text := r.FormValue("time"); text != "" {
		if seconds, err := strconv.ParseFloat(text, 64); err == nil {
			at = time.UnixMilli(int64(seconds * 1000))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/query_range") {
		p.writeRange(w, r, p.samples(query, at))
		return
	}
	result := []any{}
	for _, s := range p.samples(query, at) {
		result = append(result, map[string]any{"metric": s.labels, "value": pair(at, s.value)})
	}
	write(w, "vector", result)
}

func (p *promServer) writeRange(w http.ResponseWriter, r *http.Request, samples []sample) {
	from, _ := strconv.ParseFloat(r.FormValue("start"), 64)
	until, _ := strconv.ParseFloat(r.FormValue("end"), 64)
	step, err := strconv.ParseFloat(r.FormValue("step"), 64)
	result := []any{}
	if err != nil || step <= 0 || (until-from)/step > 2000 {
		write(w, "matrix", result)
		return
	}
	for _, s := range samples {
		var values []any
		for at := from; at <= until; at += step {
			values = append(values, pair(time.UnixMilli(int64(at*1000)), s.value))
		}
		result = append(result, map[string]any{"metric": s.labels, "values": values})
	}
	write(w, "matrix", result)
}

func pair(at time.Time, v float64) []any {
	return []any{float64(at.UnixMilli()) / 1000, strconv.FormatFloat(v, 'f', -1, 64)}
}

func write(w http.ResponseWriter, kind string, result []any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
}

// samples answers a query: one of the configuration's, the age of one, or a spend check's.
func (p *promServer) samples(query string, at time.Time) []sample {
	query = strings.TrimSpace(query)
	q, known := p.questions[query]
	switch {
	case known:
		labels := map[string]string{}
		for _, name := range q.by {
			labels[name] = "drill"
		}
		return []sample{{labels, p.answer(q.name, q.good)}}
	case strings.Contains(query, "windsock_part"):
		return p.spent(query, at)
	case strings.Contains(query, "timestamp("):
		return []sample{{nil, float64(at.UnixMilli()) / 1000}}
	}
	return []sample{{nil, 0}}
}

// spent are the rows that the source prometheus of a spend check asks for, by window.
func (p *promServer) spent(query string, at time.Time) []sample {
	windows := map[string]bool{}
	for _, m := range regexp.MustCompile(`"windsock_window", "(\d+)"`).FindAllStringSubmatch(query, -1) {
		windows[m[1]] = true
	}
	dollars := p.answer(costHour, goodHour)
	tokens := slices.IndexFunc(p.counters, func(c counter) bool { return strings.Contains(query, c.metric) })
	var rows []sample
	row := func(part, window string, v float64) map[string]string {
		labels := map[string]string{"windsock_part": part}
		if window != "" {
			labels["windsock_window"] = window
		}
		rows = append(rows, sample{labels, v})
		return labels
	}
	for _, window := range slices.Sorted(maps.Keys(windows)) {
		grown := dollars
		if tokens >= 0 {
			grown = dollars / dollarsPerToken
		}
		labels := row("grown", window, grown)
		if tokens >= 0 {
			c := p.counters[tokens]
			labels[c.model], labels[c.direction] = spendOnModel, c.output
		}
		row("seen", window, 1)
		row("up", window, 1)
	}
	if strings.Contains(query, `"oldest"`) {
		row("oldest", "", float64(at.UnixMilli())/1000)
	}
	return rows
}
