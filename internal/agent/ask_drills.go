package agent

import (
	"errors"
	"net/http"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

func (a *Agent) drillRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/drills", a.byHand(a.beginDrill))
	mux.HandleFunc("GET /v1/drills", a.showDrill)
	mux.HandleFunc("DELETE /v1/drills", a.byHand(a.endDrill))
}

func (a *Agent) beginDrill(w http.ResponseWriter, r *http.Request) {
	var asked DrillRequest
	if !readBody(w, r, &asked) {
		return
	}
	state, err := a.drills.begin(r.Context(), &asked, byWhom(r, ""))
	if err != nil {
		refuseDrill(w, err)
		return
	}
	answer(w, http.StatusCreated, state)
}

// refuseDrill answers 400 to what was asked wrongly, 409 to what cannot be at this moment, and 422 where no check could see it.
func refuseDrill(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if _, wrong := errors.AsType[*askedError](err); wrong {
		status = http.StatusBadRequest
	}
	if _, busy := errors.AsType[*notNowError](err); busy {
		status = http.StatusConflict
	}
	if errors.Is(err, errUnseen) {
		status = http.StatusUnprocessableEntity
	}
	http.Error(w, err.Error(), status)
}

func (a *Agent) showDrill(w http.ResponseWriter, _ *http.Request) {
	state, ok := a.drills.state()
	if !ok {
		http.Error(w, "there was no drill since the agent was started", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, state)
}

func (a *Agent) endDrill(w http.ResponseWriter, r *http.Request) {
	if !a.drills.end("stopped by " + byWhom(r, "")) {
		http.Error(w, "no drill goes on", http.StatusNotFound)
		return
	}
	a.showDrill(w, r)
}

// ToDetect is from the fault to the alert as severe as it became.
func (s *DrillState) ToDetect(a *DrillAlert) time.Duration { return max(a.FiredAt.Sub(s.BrokeAt), 0) }

// ToResolve is from the end of the fault to that of the alert; false where it did not end by itself.
func (s *DrillState) ToResolve(a *DrillAlert) (time.Duration, bool) {
	if a.State != checks.AlertResolved || a.ByDrill || s.MendedAt.IsZero() {
		return 0, false
	}
	return max(a.ResolvedAt.Sub(s.MendedAt), 0), true
}
