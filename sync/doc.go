// Package sync keeps the copies of one namespace equal: an engine that pushes, receives and
// schedules, and sessions that repair.
//
// # Purity
//
// Nothing in this package starts a goroutine, reads a clock, opens a file or a socket, or logs.
// Time is an argument, randomness is a seed of [Config], and what is to be done in the world is
// returned: messages as bytes, everything else as an [Action]. So the same code runs under
// libp2p and in a simulator, and a run is repeated by repeating its inputs. An [Engine], a
// [PullSession] and a [ServeSession] are each for one goroutine at a time.
//
// # Engine
//
// An engine stands for one copy of a namespace. Its driver feeds it events with
// [Engine.Handle], carries out the actions that come back in their order, and calls it with a
// [Tick] no later than [Engine.Wake] says. Its knowledge of the local copy is what [Committed]
// told it last, which is always durable.
//
// # Sessions
//
// A repair is one pull over one ordered, reliable stream of messages: the copy that is behind
// runs a [PullSession] against its [Sink], the other one a [ServeSession] against a [Source].
// Each message in gives messages out; the stream carries them with their length, at most
// [MaxMessageBytes]. When Handle reports done, what it returned is still to be sent. The
// transport bounds how long the other side may be silent; sessions know no time.
//
// A transport that forwards gossip calls [CheckGossip] before it does, so that nobody is blamed
// for what another one made up.
//
// # Ownership
//
// Every slice, map and set that crosses this API belongs to the receiver afterwards, who may
// keep it, with two exceptions: what stands in a [Status] or [SinkState] or comes from a
// [Source] is shared and must not be written by either side while it is in use, and message
// bytes passed to a Handle method are not kept after it returns.
//
// # Name
//
// Outside this package import it as peersync, so that the standard sync package keeps its name.
package sync
