"""The route table: which method on which path does what, how often a caller may, and how faults count it.

A pattern is a path without `/api/`, with numbers as `#`. Intervals are the documented rate limits (August 2026), per caller.
Paths without a version are the simulator's own.
"""

from __future__ import annotations

from typing import Final

from sandbox.marketplace import account_routes as account
from sandbox.marketplace import billing_routes as billing
from sandbox.marketplace import control_routes as control
from sandbox.marketplace import increase_routes as increases
from sandbox.marketplace import instance_list_routes as lists
from sandbox.marketplace import instance_routes as instances
from sandbox.marketplace import log_routes as logs
from sandbox.marketplace import router_routes as router
from sandbox.marketplace import search_routes as search
from sandbox.marketplace import serverless_routes as serverless
from sandbox.marketplace import template_routes as templates
from sandbox.marketplace.api import Route, Routes
from sandbox.marketplace.faults import Operation

ROUTES: Final[Routes] = {
    ("POST", "v0/bundles"): Route(handler=search.post_bundles, operation=Operation.SEARCH, interval_s=2.0),
    ("GET", "v0/bundles"): Route(handler=search.get_bundles, operation=Operation.SEARCH, interval_s=0.8),
    ("PUT", "v0/search/asks"): Route(handler=search.put_search, operation=Operation.SEARCH, interval_s=2.0),
    ("PUT", "v0/asks/#"): Route(handler=search.create, operation=Operation.CREATE, interval_s=4.5),
    ("POST", "v0/asks/bulk"): Route(handler=search.create_bulk, operation=Operation.CREATE, interval_s=4.5),
    ("PUT", "v0/launch_instance"): Route(handler=search.launch, operation=Operation.CREATE, interval_s=2.0),
    ("GET", "v1/instances"): Route(handler=lists.list_pages, operation=Operation.LIST, interval_s=1.0),
    ("GET", "v0/instances"): Route(handler=lists.list_all, operation=Operation.LIST, interval_s=20.0),
    ("GET", "v0/instances/filters"): Route(handler=lists.list_filters, operation=Operation.LIST, interval_s=1.0),
    ("GET", "v0/instances/#"): Route(handler=instances.show, operation=Operation.SHOW, interval_s=2.0, instance_key=True),
    ("PUT", "v0/instances/#"): Route(
        handler=instances.change,
        operation=instances.state_operation,
        interval_s=1.0,
        instance_key=True,
    ),
    ("PUT", "v0/instances"): Route(handler=instances.change_bulk, operation=instances.state_operation, interval_s=4.0),
    ("DELETE", "v0/instances/#"): Route(
        handler=instances.destroy,
        operation=Operation.DESTROY,
        interval_s=3.0,
        instance_key=True,
    ),
    ("DELETE", "v0/instances"): Route(handler=instances.destroy_bulk, operation=Operation.DESTROY, interval_s=3.0),
    ("PUT", "v0/instances/reboot/#"): Route(handler=instances.reboot, operation=Operation.REBOOT, interval_s=1.0),
    ("PUT", "v0/instances/recycle/#"): Route(handler=instances.recycle, operation=Operation.RECYCLE, interval_s=1.0),
    ("PUT", "v0/instances/bid_price/#"): Route(handler=instances.change_bid, operation=Operation.BID, interval_s=5.5),
    ("PUT", "v0/instances/update_template/#"): Route(
        handler=instances.update_template,
        operation=Operation.RECYCLE,
        interval_s=2.0,
    ),
    ("PUT", "v0/instances/prepay/#"): Route(handler=instances.prepay_instance, operation=Operation.BID, interval_s=2.0),
    ("GET", "v0/instances/balance/#"): Route(handler=billing.deposit, operation=Operation.ACCOUNT, interval_s=3.0),
    ("PUT", "v0/instances/command/#"): Route(handler=logs.execute, operation=Operation.LOGS, interval_s=1.5),
    ("PUT", "v0/instances/request_logs/#"): Route(handler=logs.request_logs, operation=Operation.LOGS),
    ("GET", "v0/instances/pending-price-increases"): Route(
        handler=increases.list_pending,
        operation=Operation.PRICE,
        interval_s=1.0,
    ),
    ("PUT", "v0/instances/accept-price-increase"): Route(handler=increases.accept, operation=Operation.PRICE, interval_s=1.0),
    ("PUT", "v0/instances/reject-price-increase"): Route(handler=increases.reject, operation=Operation.PRICE, interval_s=1.0),
    ("GET", "v0/users/current"): Route(handler=account.user, operation=Operation.ACCOUNT),
    ("GET", "v0/users/spend_rate"): Route(handler=account.spend_rate, operation=Operation.ACCOUNT),
    ("GET", "v0/users/me/invoices"): Route(handler=billing.report, operation=Operation.ACCOUNT),
    ("GET", "v0/users/me/machine-earnings"): Route(handler=billing.earnings, operation=Operation.ACCOUNT),
    ("GET", "v0/charges"): Route(handler=billing.list_charges, operation=Operation.ACCOUNT),
    ("GET", "v1/invoices"): Route(handler=billing.list_invoices, operation=Operation.ACCOUNT),
    ("GET", "v0/invoices"): Route(handler=billing.search_invoices, operation=Operation.ACCOUNT),
    ("POST", "v0/contracts/fetch"): Route(handler=billing.fetch_contracts, operation=Operation.ACCOUNT),
    ("GET", "v0/gpu_names/unique"): Route(handler=account.gpu_names, operation=Operation.NAMES, open=True),
    ("GET", "v0/gpu_types"): Route(handler=account.gpu_types, operation=Operation.NAMES, open=True),
    ("POST", "v0/template"): Route(handler=templates.create_template, operation=Operation.TEMPLATE, interval_s=1.9),
    ("GET", "v0/template"): Route(handler=templates.list_templates, operation=Operation.TEMPLATE, interval_s=1.9),
    ("PUT", "v0/template"): Route(handler=templates.edit_template, operation=Operation.TEMPLATE, interval_s=1.9),
    ("PUT", "v1/template"): Route(handler=templates.edit_version, operation=Operation.TEMPLATE, interval_s=1.9),
    ("DELETE", "v0/template"): Route(handler=templates.delete_template, operation=Operation.TEMPLATE, interval_s=1.9),
    ("GET", "v0/endptjobs"): Route(handler=serverless.list_endpoints, operation=Operation.SERVERLESS, interval_s=3.0),
    ("POST", "v0/endptjobs"): Route(handler=serverless.create_endpoint, operation=Operation.SERVERLESS, interval_s=4.0),
    ("GET", "v0/endptjobs/#"): Route(handler=serverless.show_endpoint, operation=Operation.SERVERLESS, interval_s=2.0),
    ("PUT", "v0/endptjobs/#"): Route(handler=serverless.change_endpoint, operation=Operation.SERVERLESS, interval_s=2.0),
    ("DELETE", "v0/endptjobs/#"): Route(handler=serverless.delete_endpoint, operation=Operation.SERVERLESS, interval_s=3.0),
    ("GET", "v0/autojobs"): Route(handler=serverless.list_workergroups, operation=Operation.SERVERLESS, interval_s=2.0),
    ("POST", "v0/autojobs"): Route(handler=serverless.create_workergroup, operation=Operation.SERVERLESS, interval_s=4.0),
    ("PUT", "v0/autojobs/#"): Route(handler=serverless.change_workergroup, operation=Operation.SERVERLESS, interval_s=2.0),
    ("DELETE", "v0/autojobs/#"): Route(handler=serverless.delete_workergroup, operation=Operation.SERVERLESS, interval_s=3.0),
    ("GET", "v0/workergroups"): Route(handler=serverless.list_workergroups, operation=Operation.SERVERLESS, interval_s=2.0),
    ("POST", "v0/workergroups"): Route(handler=serverless.create_workergroup, operation=Operation.SERVERLESS, interval_s=2.0),
    ("PUT", "v0/workergroups/#"): Route(handler=serverless.change_workergroup, operation=Operation.SERVERLESS, interval_s=2.0),
    ("DELETE", "v0/workergroups/#"): Route(handler=serverless.delete_workergroup, operation=Operation.SERVERLESS, interval_s=2.0),
    ("POST", "get_endpoint_workers"): Route(handler=router.endpoint_workers, operation=Operation.SERVERLESS, open=True),
    ("POST", "get_workergroup_workers"): Route(handler=router.workergroup_workers, operation=Operation.SERVERLESS, open=True),
    ("POST", "get_autogroup_workers"): Route(handler=router.workergroup_workers, operation=Operation.SERVERLESS, open=True),
    ("POST", "get_endpoint_logs"): Route(handler=router.endpoint_logs, operation=Operation.SERVERLESS, open=True),
    ("POST", "get_workergroup_logs"): Route(handler=router.workergroup_logs, operation=Operation.SERVERLESS, open=True),
    ("POST", "get_autogroup_logs"): Route(handler=router.workergroup_logs, operation=Operation.SERVERLESS, open=True),
    ("POST", "update_workers"): Route(handler=router.update_workers, operation=Operation.SERVERLESS, open=True),
    ("GET", "instance_logs/*"): Route(handler=logs.fetch_log, operation=None, open=True),
    ("GET", "_sim/health"): Route(handler=control.health, operation=None, open=True),
    ("GET", "_sim/contracts"): Route(handler=control.contracts, operation=None),
    ("GET", "_sim/bill"): Route(handler=control.bill, operation=None),
    ("GET", "_sim/faults"): Route(handler=control.faults, operation=None),
    ("POST", "_sim/faults"): Route(handler=control.add_fault, operation=None),
    ("POST", "_sim/credit"): Route(handler=control.add_credit, operation=None),
    ("POST", "_sim/instances/#/vanish"): Route(handler=control.vanish, operation=None),
    ("POST", "_sim/instances/#/fate"): Route(handler=control.strike, operation=None),
    ("POST", "_sim/instances/#/use"): Route(handler=control.use, operation=None),
    ("POST", "_sim/instances/#/traffic"): Route(handler=control.traffic, operation=None),
}
