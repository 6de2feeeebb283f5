package plugintest

// all are the cases, in the order of their numbers.
func all() []testCase {
	return []testCase{
		{number: 1, group: "process", name: "a handshake of one line within 10 s, on a unix socket, and none without the cookie", try: handshakes},
		{number: 2, group: "process", name: "certificates both ways: who has none is refused", recommended: true, needs: aStart, try: certificates},
		{number: 3, group: "process", name: "the health service says SERVING", needs: aStart, try: healthy},
		{number: 4, group: "process", name: "the shutdown ends it within 2 s with exit code 0, and its socket is gone", needs: aStart, try: shutsDown},
		{number: 5, group: "process", name: "SIGTERM ends it within 2 s", recommended: true, needs: aStart, try: terminates},
		{number: 6, group: "process", name: "it ends within 5 s of the agent's death", recommended: true, needs: aStart, try: diesWithHost},
		{number: 7, group: "describe", name: "Describe answers within 1 s, twice the same, and what it says can be used", needs: aStart, try: describes},
		{number: 8, group: "describe", name: "Describe needs no network, no home, no temporary folder and nothing to write to", needs: aStart, try: describesAlone},
		{number: 9, group: "configure", name: "what is wrong with parameters is a diagnostic with its place, and good ones have none", needs: aManifest, try: diagnoses},
		{number: 10, group: "configure", name: "validate_only keeps nothing", needs: aManifest, try: onlyValidates},
		{number: 11, group: "configure", name: "instances: the same id twice, a hundred of them, released, and one that is not there", needs: aManifest, try: instances},
		{number: 12, group: "run", name: "an instance that is not there is FAILED_PRECONDITION", needs: aManifest, try: unknownInstance},
		{number: 13, group: "run", name: "a good run has a valid result: announced names and units, finite, within its bounds", needs: aManifest, try: runsWell},
		{number: 14, group: "run", name: "a target that refuses is failed or unknown, not an error of the call", needs: aManifest, try: targetRefuses},
		{number: 15, group: "run", name: "a target that never answers: the run ends with its timeout", needs: aManifest, try: targetHangs},
		{number: 16, group: "run", name: "a run that is cancelled ends by its timeout at the latest, and the next one works", needs: aManifest, try: cancelled},
		{number: 17, group: "run", name: "32 instances at the same time, where it is concurrent", needs: aManifest, try: concurrent},
		{number: 18, group: "run", name: "1000 runs leave no descriptor, no thread and less than 20 % of memory", recommended: true, needs: aManifest, alone: true, try: leaksNothing},
		{number: 19, group: "export", name: "batches of none, one and the most; the same batch twice; rejections within the batch", needs: aManifest, try: exportsWell},
		{number: 20, group: "export", name: "a backend that is away is RETRY or HOLD, never DONE", needs: aManifest, try: backendAway},
		{number: 21, group: "host", name: "fields and words of a later version are no fault", needs: aManifest, try: toleratesFuture},
		{number: 22, group: "export", name: "a batch of 1 MiB is taken", needs: aManifest, try: takesMebibyte},
		{number: 23, group: "host", name: "no secret in logs, results, messages, arguments, environment or Describe", needs: aManifest, try: keepsSecrets},
		{number: 24, group: "host", name: "what it prints does not hold up its runs, and its pipes are not flooded", needs: aManifest, try: printsFreely},
		{number: 25, group: "host", name: "its log is JSON with @level and @message, a line each", recommended: true, needs: aManifest, try: logsJSON},
		{number: 26, group: "host", name: "it works under the agent's confinement with 128 MiB, 64 threads and 256 descriptors", needs: aManifest, try: worksConfined},
		{number: 27, group: "host", name: "Drain waits for the run that goes on, in time", needs: aManifest, try: drains},
		{number: 28, group: "host", name: "a new process that is configured alike answers alike", needs: aManifest, try: restarts},
	}
}
