package look_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/triage"
	"github.com/windsock-monitor/windsock/internal/triage/look"
)

// An alert of a drill, and one of a provider that is not looked at, are told and decide nothing.
func TestOnlyAlertsOfThisProviderCount(t *testing.T) {
	t.Parallel()
	o := options(t, "providers: {mistral: {base_url: \"http://127.0.0.1:1\"}}\nchecks: [{name: way, kind: egress, schedule: \"@every 1h\", with: {hosts: [{host: 127.0.0.1}]}}]\n")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(o.Config.StateDir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"healthy"}`) })
	mux.HandleFunc("/v1/alerts", func(w http.ResponseWriter, _ *http.Request) {
		alert := `{"rule":%q,"state":"firing","severity":"P1","blame":"provider","labels":{"provider":%q,"drill":%q}}`
		_, _ = fmt.Fprintf(w, `{"alerts":[`+alert+`,`+alert+`,`+alert+`]}`, "rehearsed", "mistral", "key-revoked", "elsewhere", "other", "", "real", "mistral", "")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() { _ = server.Close(); <-served })
	o.Agent = look.NewRunning(o.Config, nothing, func(context.Context) string { return "" }, time.Second)
	steps, firing, _ := look.Run(t.Context(), o)
	if len(firing) != 1 || firing[0].Rule != "real" {
		t.Errorf("%+v", firing)
	}
	for i := range steps {
		if s := &steps[i]; s.Name == triage.Alerts {
			if told := strings.Join(s.Notes, "\n"); !strings.Contains(told, "rehearsed: of the drill key-revoked") || !strings.Contains(told, "elsewhere: of the provider other") {
				t.Errorf("%s: %q", s.Detail, told)
			}
		}
	}
}
