package prometheus_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// recording is what a real server answered to questions (live_test.go writes it).
type recording struct {
	Source    string     `json:"source"`
	Date      string     `json:"date"`
	Exchanges []exchange `json:"exchanges"`
}

type exchange struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query"`
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// ServeHTTP answers as the server did.
func (r *recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	for _, e := range r.Exchanges {
		if e.Method == req.Method && e.Path == req.URL.Path && e.Query == req.FormValue("query") {
			w.WriteHeader(e.Status)
			_, _ = w.Write([]byte(e.Body))
			return
		}
	}
	http.Error(w, "not recorded", http.StatusTeapot)
}

func TestRecordedAnswersOfARealServer(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded recording
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&recorded)
	t.Cleanup(server.Close)
	for name, q := range questions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q.hold(t, ask(t, server.URL, q.params, ""))
		})
	}
	t.Run("a wrong path", func(t *testing.T) {
		t.Parallel()
		want := question{status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "404 Not Found with text that is not JSON"}
		want.hold(t, ask(t, server.URL+"/prometheus", "query: up", ""))
	})
	t.Run("an answer from long ago", func(t *testing.T) {
		t.Parallel()
		want := question{status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "by this host's clock, want at most 1m0s", age: [2]float64{0, 60}}
		want.hold(t, ask(t, server.URL, "query: mistral_circuit_state\nmax_age: 1m", ""))
	})
}
