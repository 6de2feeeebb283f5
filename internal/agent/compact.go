package agent

import "net/http"

// compact has the store give free space back while everything goes on. An agent that stops does not wait for it: it ends
// with the step in which the store is closed.
func (a *Agent) compact(w http.ResponseWriter, r *http.Request) {
	done, err := a.store.Compact(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.o.Log.Info("the store was compacted", "before", done.Before.Database+done.Before.Log, "after", done.After.Database+done.After.Log)
	answer(w, http.StatusOK, done)
}
