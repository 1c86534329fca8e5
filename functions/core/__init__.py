"""Pure decisions: values in, values out. No clock, no randomness but an argument, no I/O, no logging, no SDK.

Where to look, in the order in which a decision goes through it (tests/core/test_index.py holds this list to the folder):

* the nouns, and what is kept of them: model, lifecycle, snapshot, scaler_state, plan, record, replay, jsonable, labels, public_ids
* the decision itself: scaling; and what the last ones left behind: memory
* what holds now: schedules, cron, civil_time
* how much is asked: demand, forecast, surge, season, lead_time
* how much is needed: sizing, standby; what there is: fleet, capacity, listing
* what is wrong with a worker: reconcile, verifying, watching, replacing
* more: shortage, growing, choosing, expecting, valuing, track_record, bidding, matching, query, pricing
* less: releasing, dismantling
* other than it was: version, rollout, renewing
* what a person should know: attention, credit
* which worker a request goes to: routing, affinity, rate_limit, waiting_reason, vast_load
* the rest: key_rotation, launch_args
"""
