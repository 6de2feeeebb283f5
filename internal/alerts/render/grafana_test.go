package render_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
	"github.com/windsock-monitor/windsock/internal/alerts/render"
)

// board is what the tests read of a dashboard.
type board struct {
	SchemaVersion int `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query string `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct {
			X int `json:"x"`
			Y int `json:"y"`
			W int `json:"w"`
			H int `json:"h"`
		} `json:"gridPos"`
		Datasource *struct {
			UID string `json:"uid"`
		} `json:"datasource"`
		Targets []struct {
			RefID string `json:"refId"`
			Expr  string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

func readBoard(t *testing.T) board {
	t.Helper()
	out, _ := render.Grafana(builtin())
	var b board
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheDashboardsPanelsAreApart(t *testing.T) {
	t.Parallel()
	b := readBoard(t)
	if b.SchemaVersion < 38 {
		t.Errorf("schemaVersion is %d, want that of Grafana 10 at least", b.SchemaVersion)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range b.Panels {
		if ids[p.ID] || p.ID < 1 {
			t.Errorf("%s: id %d is there twice, or none", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("%s is beside the grid: %+v", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range exporters.Catalogue() {
		known[prometheus.Name(m)] = true
	}
	b := readBoard(t)
	asked := 0
	for _, p := range b.Panels {
		refs := map[string]bool{}
		if p.Type != "row" && (len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}") {
			t.Errorf("%s asks nothing, or somebody else", p.Title)
		}
		for _, q := range p.Targets {
			if refs[q.RefID] || q.RefID == "" {
				t.Errorf("%s: refId %q is there twice, or none", p.Title, q.RefID)
			}
			refs[q.RefID] = true
			for _, name := range regexp.MustCompile(`([a-z_0-9]+)\{`).FindAllStringSubmatch(q.Expr, -1) {
				asked++
				if !known[name[1]] {
					t.Errorf("%s asks for %s, which is not in the catalogue", p.Title, name[1])
				}
			}
		}
	}
	if asked < 30 {
		t.Errorf("%d metrics are asked for, want the whole dashboard's", asked)
	}
	for _, v := range b.Templating.List {
		if v.Type != "query" {
			continue
		}
		var metric, label string
		if _, err := fmt.Sscanf(strings.NewReplacer("(", " ", ",", " ", ")", " ").Replace(v.Query), "label_values %s %s", &metric, &label); err != nil || !known[metric] || label != v.Name {
			t.Errorf("variable %s is read by %s", v.Name, v.Query)
		}
	}
}
