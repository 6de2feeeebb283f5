//go:build prometheus

package promsource_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks/internal/promql/promqltest"
)

// record writes the server's answers to testdata/recorded.json:
// go test -tags prometheus -run TestARealServer ./checks/spend/internal/promsource -args -record
//
//nolint:gochecknoglobals // a flag of the test
var record = flag.Bool("record", false, "write the answers of the real server to testdata")

// others are counters that other presets ask for: two libraries that spell the histogram differently, and dollars.
func others() []*series {
	end := then().Add(time.Minute)
	var all []*series
	for i, name := range []string{"gen_ai_client_token_usage_sum", "gen_ai_client_token_usage_token_sum"} {
		for _, direction := range []string{"input", "output"} {
			s := &series{
				name: name, model: "small", direction: direction,
				labels: fmt.Sprintf(`job="shop",instance="g%d",gen_ai_request_model="small",gen_ai_token_type=%q`, i, direction),
			}
			all = append(all, s.count(begun(), end, 0, float64(100*(i+1))))
		}
	}
	dollars := &series{name: "mistral_cost_usd_total", labels: `job="shop",instance="a"`}
	return append(all, dollars.count(begun(), end, 0, 0.02))
}

// past is all of it as the OpenMetrics format has it.
func past() string {
	end := then().Add(time.Minute)
	up := func(name, instance string, from time.Time, value float64) *series {
		return (&series{name: name, labels: fmt.Sprintf(`job="shop",instance=%q`, instance)}).count(from, end, value, 0)
	}
	const started = "process_start_time_seconds"
	away := func(name string, value float64) *series { // d, before it was not reached
		return (&series{name: name, labels: `job="shop",instance="d"`}).count(begun(), clock(11, 0), value, 0)
	}
	all := append(world(), others()...)
	all = append(all, away("up", 1), away(started, 1780000000))
	all = append(all, up("up", "a", begun(), 1), up("up", "b", clock(14, 10), 1), up("up", "c", clock(14, 15), 1), up("up", "d", clock(14, 15), 1))
	all = append(all, up(started, "a", begun(), 1780000000), up(started, "b", clock(14, 10), float64(clock(14, 10).Unix())), up(started, "c", clock(14, 15), 1780000000), up(started, "d", clock(14, 15), 1780000000))
	families := map[string][]*series{}
	for _, s := range all {
		families[s.name] = append(families[s.name], s)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(families)) {
		fmt.Fprintf(&text, "# TYPE %s unknown\n", name)
		for _, s := range families[name] {
			for _, one := range s.samples {
				fmt.Fprintf(&text, "%s{%s} %g %d\n", name, s.labels, one.value, one.at.Unix())
			}
		}
	}
	text.WriteString("# EOF\n")
	return text.String()
}

func TestARealServer(t *testing.T) {
	server := promqltest.Start(t, promqltest.Setup{
		Config: "scrape_configs: []\n", Past: past(), Flags: []string{"--storage.tsdb.retention.time=100y"}, Ready: "vector(1)",
	})
	holdWorld(t, server.URL, "")
	if *record {
		promqltest.Record(t, server, "testdata/recorded.json", then().Unix(), func(url string) { holdWorld(t, url, "") })
	}
}
