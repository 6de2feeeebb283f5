package agent_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
)

func TestAPageThatNobodyCouldReadIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ listen, exporters, want string }{
		"one page":                {"127.0.0.1:0", "[{name: a, kind: prometheus}]", ""},
		"two pages":               {"127.0.0.1:0", "[{name: a, kind: prometheus}, {name: b, kind: prometheus, with: {path: /b}}]", ""},
		"the same page twice":     {"127.0.0.1:0", "[{name: a, kind: prometheus}, {name: b, kind: prometheus}]", `"/metrics" is the page of exporter "a" already`},
		"a page of the agent's":   {"127.0.0.1:0", "[{name: a, kind: prometheus, with: {path: /health}}]", `"/health" is a page of the agent's own`},
		"a page below health":     {"127.0.0.1:0", "[{name: a, kind: prometheus, with: {path: /health/mistral}}]", "a page of the agent's own"},
		"no listener":             {`""`, "[{name: a, kind: prometheus}]", "`listen` is off"},
		"no listener and no page": {`""`, "[{name: a, kind: stdout}]", ""},
	} {
		h := newHost(t)
		h.change("listen: 127.0.0.1:0", "listen: "+c.listen)
		h.change("exporters: [{name: scrape, kind: prometheus}]", "exporters: "+c.exporters)
		cfg, err := h.load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = agent.Buildable(cfg, h.registry())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want no error", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "test.yaml:")):
			t.Errorf("%s: got %v, want %q with its place", name, err, c.want)
		}
	}
}
