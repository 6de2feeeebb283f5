package lint

import (
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// The bounds beyond which a number was perhaps meant in another unit.
const (
	longRun    = 1000      // seconds, of a time that somebody else measured
	longAge    = 24 * 3600 // seconds
	year2001   = 1e9       // Unix seconds; below it is no time of ours
	inMillis   = 1e11      // Unix seconds; above it is milliseconds
	shortAhead = 3600      // seconds until a moment
	fewBytes   = 64 << 10  // of an agent's memory or store
	times      = 200       // of what the built-in rule compares with
)

// units tells of a number that was perhaps meant in another unit. One that is written with its unit was not.
func (s *sight) units() {
	if s.Op == alerts.Equals || s.aggregate() == alerts.Count || s.aggregate() == alerts.Rate {
		return
	}
	s.runtime()
	if !s.bare(s.rule, s.written()) {
		return
	}
	t, op := s.Threshold, string(s.Op)
	switch {
	case s.moment() && s.Until && t > 0 && t < shortAhead:
		s.strange(Units, op, fmt.Sprintf("found %s, which is %s", number(t), span(t)), fmt.Sprintf("%s days are %sd", number(t), number(t)))
	case s.moment() && !s.Until && (t < year2001 || t > inMillis):
		s.strange(Units, op, fmt.Sprintf("found %s, but %s is a Unix time in seconds", number(t), s.Metric), "say `until: true` to compare the time until then")
	case s.Metric == "spend.cached.share" && t > 1:
		s.strange(Units, op, fmt.Sprintf("found %s, but %s is 0 to 1", number(t), s.Metric), fmt.Sprintf("%s%% is %s", number(t), number(t/100)))
	case s.known.Unit == "%" && t > 0 && t < 1:
		s.strange(Units, op, fmt.Sprintf("found %s, but %s is 0 to 100", number(t), s.Metric), fmt.Sprintf("%s%% is %s", number(t*100), number(t*100)))
	case s.Metric == "windsock.process.memory.usage" && t < fewBytes, s.Metric == "windsock.store.size" && t < fewBytes:
		s.strange(Units, op, fmt.Sprintf("found %s, but %s is in bytes", number(t), s.Metric), fmt.Sprintf("%s MiB are %.0f", number(t), t*(1<<20)))
	case s.aged() && t >= longAge, (s.Metric == "windsock.schedule.lateness" || s.Metric == "probe.app.reported_latency") && t >= longRun:
		s.strange(Units, op, fmt.Sprintf("found %s, which is %s", number(t), span(t)), millis(t))
	case !s.listed:
		s.besideBuiltin()
	}
}

// written is the field of the threshold.
func (s *sight) written() string { return s.path + "." + string(s.Op) }

func (s *sight) moment() bool { return s.listed && strings.HasPrefix(s.known.Doc, "Unix time ") }

func (s *sight) aged() bool {
	switch s.Metric {
	case "windsock.export.queue.age", "probe.app.answer_age", "spend.source.age", "probe.prometheus.sample_age":
		return true
	}
	return false
}

// runtime tells of a time that no run takes: it ends before.
func (s *sight) runtime() {
	if !s.timed() || s.aged() || s.Metric == "probe.timeout" || s.aggregate() == alerts.Sum {
		return
	}
	longest := time.Duration(0)
	for _, c := range s.from {
		if c.Timeout <= 0 {
			return
		}
		longest = max(longest, c.Timeout)
	}
	if s.Threshold < longest.Seconds() {
		return
	}
	who := "a run"
	if len(s.from) == 1 {
		who = "a run of " + s.from[0].Name
	}
	text := fmt.Sprintf("found %s, which is %s, but %s ends after %s", number(s.Threshold), span(s.Threshold), who, short(longest))
	if !s.bare(s.rule, s.written()) {
		text = fmt.Sprintf("found %s, but %s ends after %s", span(s.Threshold), who, short(longest))
	}
	hint := "want less, or a longer `timeout:` of the check"
	if s.bare(s.rule, s.written()) && s.Threshold/1000 < longest.Seconds() && s.Threshold >= 100 {
		hint = millis(s.Threshold)
	}
	s.strange(Units, string(s.Op), text, hint)
}

func millis(t float64) string { return fmt.Sprintf("%s ms are %s", number(t), span(t/1000)) }

// besideBuiltin compares a latency of the application's own metrics with what the built-in rule on the same one wants:
// they are given in seconds, whatever the application counts in.
func (s *sight) besideBuiltin() {
	if !strings.Contains(s.Metric, "latency") {
		return
	}
	for _, name := range keys(s.shipped) {
		c := &s.shipped[name].When
		if c.Metric != s.Metric || c.Op != s.Op || c.Threshold <= 0 || s.Threshold < times*c.Threshold {
			continue
		}
		s.strange(Units, string(s.Op), fmt.Sprintf("found %s, which is %s: %s is in seconds", number(s.Threshold), span(s.Threshold), s.Metric), millis(s.Threshold))
		return
	}
}
