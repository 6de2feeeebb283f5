package adminapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// history is what the month was at earlier readings. It rises within the month, but for corrections.
type history struct {
	Month     string         `json:"month"`
	Basis     string         `json:"basis"` // the page that told the month
	Points    []point        `json:"points"`
	Corrected int64          `json:"corrected,omitempty"` // when it last sank
	By        checks.PicoUSD `json:"by,omitempty"`
}

type point struct {
	At   int64          `json:"at"`
	Cost checks.PicoUSD `json:"cost"`
}

const (
	sparse    = 5 * time.Minute // between two points that are kept
	slack     = 10 * time.Minute
	keepsBack = 25 * time.Hour // points: a day and what midnight may be away
)

// differences gives the hour and the day their amounts, and remembers the month for the next time.
func (a *API) differences(r *source.Reading, basis string, now time.Time) {
	h := &history{}
	day, month := source.Windows(now, time.UTC)
	name := month.Format("2006-01")
	if err := json.Unmarshal(a.state.Load(), h); err != nil || h.Month != name || h.Basis != basis {
		h = &history{Month: name, Basis: basis, Points: []point{{At: month.Unix()}}} // every month begins with nothing
	}
	h.correct(now, r.Month.Cost)
	if h.Corrected >= day.Unix() {
		r.Notes = append(r.Notes, fmt.Sprintf("the provider took back %s of the month at %s UTC: hour and day begin anew", h.By, time.Unix(h.Corrected, 0).UTC().Format("15:04")))
	}
	r.Hour = h.since(now.Add(-time.Hour), slack, r.Month.Cost)
	r.Today = h.since(day, time.Hour, r.Month.Cost)
	h.add(now, r.Month.Cost)
	if data, err := json.Marshal(h); err == nil {
		a.state.Save(data)
	}
}

// correct forgets what is no longer true where the month sank.
func (h *history) correct(now time.Time, cost checks.PicoUSD) {
	if len(h.Points) == 0 || cost >= h.Points[len(h.Points)-1].Cost {
		return
	}
	h.By, h.Corrected = h.Points[len(h.Points)-1].Cost-cost, now.Unix()
	h.Points = nil
}

// since is what was spent since a moment, by the last point before it that is not further away than before, else the
// first within slack after it. It is nil where there is none.
func (h *history) since(start time.Time, before time.Duration, cost checks.PicoUSD) *source.Amount {
	var best *point
	for i := range h.Points {
		p := &h.Points[i]
		switch at := time.Unix(p.At, 0); {
		case at.After(start.Add(slack)):
		case at.Before(start.Add(-before)):
		case best == nil || !at.After(start):
			best = p
		}
	}
	if best == nil {
		return nil
	}
	return &source.Amount{Cost: cost - best.Cost, Requests: -1}
}

// add keeps the newest point always, and of those before it some.
func (h *history) add(now time.Time, cost checks.PicoUSD) {
	if n := len(h.Points); n > 1 && time.Unix(h.Points[n-1].At, 0).Sub(time.Unix(h.Points[n-2].At, 0)) < sparse {
		h.Points = h.Points[:n-1]
	}
	h.Points = append(h.Points, point{now.Unix(), cost})
	old := 0
	for old < len(h.Points) && h.Points[old].At < now.Add(-keepsBack).Unix() {
		old++
	}
	h.Points = h.Points[old:]
}
