//go:build prometheus

package alertmanager_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

// patience is how long a real server may take to start and to answer on a machine that is busy.
const patience = 60 * time.Second

// hash is bcrypt of key, as Alertmanager's web configuration file wants it.
const hash = "$2b$04$j/IRNltXsjruWlq/jmjvNe3rjkoSOh0iHeAfunoIyYyCwzV90u2V6"

// live starts Debian's Alertmanager, which ends with the test, with basic authentication.
func live(t *testing.T) (url string) {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatal("this test needs Debian's package prometheus-alertmanager")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"am.yml":  "route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]\n",
		"web.yml": "basic_auth_users: {windsock: \"" + hash + "\"}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := free(t)
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), program, "--config.file=am.yml", "--web.config.file=web.yml", "--storage.path=data",
		"--web.listen-address="+address, "--cluster.listen-address=")
	server.Dir, server.Stdout, server.Stderr = dir, out, out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = out.Close()
		if said, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("Alertmanager said:\n%s", said)
		}
	})
	url = "http://" + address
	until(t, "Alertmanager is ready", func() bool {
		_, err := ask(t, url, "active=true")
		return err == nil
	})
	return url
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(50 * time.Millisecond) // another process: nothing to wait for but time
	}
}

// held is an alert as the v2 API shows it.
type held struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Status      struct {
		State string `json:"state"`
	} `json:"status"`
}

func ask(t *testing.T, url, query string) ([]held, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v2/alerts?"+query, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("windsock", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var all []held
	return all, json.NewDecoder(resp.Body).Decode(&all)
}

// amtool is what Alertmanager's own client shows of the active alerts.
func amtool(t *testing.T, url string) string {
	t.Helper()
	address := strings.Replace(url, "http://", "http://windsock:"+key+"@", 1)
	out, err := exec.CommandContext(t.Context(), "amtool", "--alertmanager.url="+address, "alert", "query", "--output=simple").CombinedOutput()
	if err != nil {
		t.Fatalf("amtool: %v: %s", err, out)
	}
	return string(out)
}

func TestARealAlertmanagerHoldsTheAlertAndThenItsResolution(t *testing.T) {
	url := live(t)
	e := build(t, fmt.Sprintf("urls: [%q, \"http://127.0.0.1:1\"]\nusername: windsock\npassword: {env: KEY}\nexternal_url: http://agent.example\n", url))
	records := exportertest.Alerts(time.Now().Add(-time.Minute).Truncate(time.Millisecond), 2, true) // it keeps milliseconds
	for i := range records {
		records[i].Alert.Severity, records[i].Alert.Labels["gen_ai.model"] = checks.P2, "mistral-small"
	}
	mustExport(t, e, records...)
	alerts, err := ask(t, url, "active=true")
	if err != nil || len(alerts) != 2 {
		t.Fatalf("%d alerts, %v; want 2", len(alerts), err)
	}
	for _, a := range alerts {
		if a.Status.State != "active" && a.Status.State != "unprocessed" || !a.StartsAt.Equal(records[0].Alert.Since) || a.Labels["gen_ai_model"] != "mistral-small" || a.Annotations["summary"] == "" {
			t.Errorf("it holds %+v", a)
		}
		if left := time.Until(a.EndsAt); left < 2*time.Minute || left > 5*time.Minute {
			t.Errorf("it ends in %s, want about four minutes", left)
		}
	}
	if said := amtool(t, url); strings.Count(said, "api-down") != 2 {
		t.Errorf("amtool says:\n%s\nwant both", said)
	}
	refresh(t, e, *records[0].Alert, *records[1].Alert)
	worse := *records[0].Alert
	worse.Severity, worse.At = checks.P1, worse.At.Add(time.Second)
	mustExport(t, e, checks.Record{ID: "worse", At: worse.At, Alert: &worse})
	if got := severities(t, url); got != "P1 P2" {
		t.Errorf("after one is more severe it holds %q, want P1 P2", got)
	}
	end := worse
	end.State, end.At = checks.AlertResolved, time.Now()
	mustExport(t, e, checks.Record{ID: "end", At: end.At, Alert: &end})
	until(t, "the end of the first", func() bool { return severities(t, url) == "P2" })
	refresh(t, e) // the end of the second was lost
	until(t, "the end of the second", func() bool { return severities(t, url) == "" })
	if said := amtool(t, url); strings.Contains(said, "api-down") {
		t.Errorf("amtool says:\n%s\nwant none", said)
	}
}

// severities are those of the active alerts, in order.
func severities(t *testing.T, url string) string {
	t.Helper()
	alerts, err := ask(t, url, "active=true")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range alerts {
		seen[a.Labels["severity"]] = true
	}
	var all []string
	for _, s := range []string{"P1", "P2"} {
		if seen[s] {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

func TestARealAlertmanagerWithoutTheRightKeyHolds(t *testing.T) {
	url := live(t)
	e := build(t, fmt.Sprintf("urls: [%q]\nusername: nobody\npassword: {env: KEY}\n", url))
	if _, err := e.Export(t.Context(), exportertest.Alerts(time.Now(), 1, true)); exportertest.ClassOf(err) != exportertest.Hold {
		t.Errorf("%v, want it held", err)
	}
}
