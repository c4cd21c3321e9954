//! Behaviour of the whole reactor, on the ring and in the simulator.
