package promsource_test

import (
	"net/http/httptest"
	"testing"

	"github.com/windsock-monitor/windsock/checks/internal/promql/promqltest"
)

func TestRecordedAnswersOfARealServer(t *testing.T) {
	recorded := promqltest.Load(t, "testdata/recorded.json")
	if recorded.Now != then().Unix() {
		t.Fatalf("recorded for another time, %d", recorded.Now)
	}
	server := httptest.NewServer(recorded)
	t.Cleanup(server.Close)
	holdWorld(t, server.URL, "")
}
