package gateway

import "time"

// The constants of speed and cost, each with the row of "make compare" or the test that it is for.
// Limits of messages and times that a promise depends on stand where they are used.

// maxIdleConns is at least the usual concurrency of a client. Otherwise connections would be dialed
// for every request.
const maxIdleConns = 512

// Renewals. The row is sessions_1000.
const (
	// renewalChunk bounds one request, because etcd renews the leases in it one after another.
	// 1,000 leases of 6 s take 17 requests in 12 s, and 15 without.
	renewalChunk = 500
	// A lease joins the request of others if it is due within its interval divided by joinShare.
	// 1,000 leases of 6 s take 17 requests in 12 s, and 975 without.
	joinShare = 4
	// renewalTime is about the time etcd takes to renew one lease. The answer about many is read
	// once it is likely whole, because etcd sends each lease on its own, and each would wake the
	// client: 1,000 leases cost a tenth less CPU.
	renewalTime = 40 * time.Microsecond
)

// patientSilence is streamSilence of a stream that only has patient watches. A finite stream, which
// cannot be probed, is replaced after it. It is less than the time after which proxies close an
// idle connection. The row is line_1000, and the points are "idle": an idle client receives 0.9 KB
// a minute, and 4.7 KB with streamSilence.
const patientSilence = 30 * time.Second

// Streams that are replaced. The test is TestAWatchDeliversOverSlowConnectionsThatAreCut: the
// longest time without an event is 1.4 s, and 9.0 s with one stream a second.
const (
	// streamsAtOnce streams are replaced without a pause, and then one every streamEvery. That is
	// a little more often than every 100 ms, at which etcd serves a watch of the past: on a path
	// that cuts streams as often, each has to begin right after a cut, so that it lasts until it is
	// served.
	streamsAtOnce = 4
	streamEvery   = 80 * time.Millisecond
	// provenFor is how long a confirmed stream shows that the path works. The test is
	// TestStreamsThatAreNotConfirmedAreTriedWithGrowingPauses.
	provenFor = 10 * time.Second
)

// Modes of watches. No path of "make compare" has a proxy. The tests are
// TestBetterModesAreTriedAgain and TestAWatchIsConfirmedThroughEveryProxy.
const (
	// maxRung bounds how long a mode is waited for before a worse one is tried in parallel. It must
	// not be short: with 1 ms, a watch on slow connections that are cut delivers nothing.
	maxRung = 400 * time.Millisecond
	// upgradeAfter is the first pause before better modes are tried again. The pause doubles with
	// each failure. It is short, because a member that was slow when its mode was tried looks like
	// a proxy that holds answers back.
	upgradeAfter = 15 * time.Second
	maxUpgrade   = 10 * time.Minute
)

// Finite streams.
const (
	// maxFinite bounds the finite streams. Above it the smallest are merged into the next one. The
	// test is TestWatchesAreMergedIntoFewFiniteStreams: 300 watches are created 3.6 times each, on 8
	// streams.
	maxFinite = 8
	// openingPause is how long new watches wait for the stream that is being opened, to share the
	// next one.
	openingPause = 100 * time.Millisecond
	// renewalCost and historyCost bound the server's time for renewals, for each watch and for each
	// revision since the stream last showed one, because etcd has to look through that history.
	renewalCost = 2 * time.Millisecond
	historyCost = 100 * time.Microsecond
)

// Polls.
const (
	// pollTime is how long a poll lasts. With renewals and tries of better modes, this makes less
	// than two requests a second. The test is TestAWatchIsConfirmedThroughEveryProxy.
	pollTime = 750 * time.Millisecond
	// pollCost makes polls of very many watches longer.
	pollCost = time.Millisecond
	// pollHistory makes polls longer, up to maxPoll, for each revision of history that etcd has to
	// look through for the quietest watch.
	pollHistory = 10 * time.Microsecond
	maxPoll     = 10 * time.Second
	// confirmPoll is how long a poll lasts that only confirms watches, and confirmCost the addition
	// for each. The test is TestAWatchGetsItsEventsSoonAfterAChangeOfMode.
	confirmPoll = 50 * time.Millisecond
	confirmCost = 200 * time.Microsecond
	// confirmPause is between the beginnings of two such polls.
	confirmPause = 100 * time.Millisecond
)
