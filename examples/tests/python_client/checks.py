"""What programs written with Kubernetes' Python client do, against the cluster of the kubeconfig named as argument."""

import json
import os
import sys
import threading

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes.stream import portforward, stream

NAMESPACE = "python"
config.load_kube_config(sys.argv[1])
core, apps, events = client.CoreV1Api(), client.AppsV1Api(), client.EventsV1Api()
coordination, scheduling = client.CoordinationV1Api(), client.SchedulingV1Api()


def meta(name, **fields):
    return client.V1ObjectMeta(name=name, **fields)


def config_map(name, data=None, **fields):
    return core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta(name, **fields), data=data))


def names(items):
    return [item.metadata.name for item in items]


def refused(code, reason, call, *arguments, **options):
    """The Status of a call that must fail."""
    try:
        call(*arguments, **options)
    except ApiException as error:
        status = json.loads(error.body)
        assert (error.status, status["code"], status.get("reason")) == (code, code, reason), status
        return status
    raise AssertionError(f"{call.__name__} did not fail")


def pod_template(app):
    spec = client.V1PodSpec(containers=[client.V1Container(name="main", image="nginx")])
    return client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": app}), spec=spec)


def deployment(name, replicas=1):
    selector = client.V1LabelSelector(match_labels={"app": name})
    spec = client.V1DeploymentSpec(replicas=replicas, selector=selector, template=pod_template(name))
    return client.V1Deployment(metadata=meta(name), spec=spec)


def check_discovery():
    assert client.VersionApi().get_code().minor == "36"
    assert client.CoreApi().get_api_versions().versions == ["v1"]
    assert "apps" in [group.name for group in client.ApisApi().get_api_versions().groups]
    assert "bindings" in [resource.name for resource in core.get_api_resources().resources]


def check_every_kind_is_created_read_replaced_and_deleted():
    service = client.V1ServiceSpec(selector={"a": "b"}, ports=[client.V1ServicePort(port=80)])
    replica_set = client.V1ReplicaSetSpec(
        replicas=0, selector=client.V1LabelSelector(match_labels={"app": "k"}), template=pod_template("k")
    )
    # Nobody binds it between its reading and its replacement.
    waiting = pod_template("k").spec
    waiting.scheduler_name = "nobody"
    named = {"metadata": meta("k")}
    kinds = [
        (core, "config_map", client.V1ConfigMap(**named)),
        (core, "secret", client.V1Secret(string_data={"a": "b"}, **named)),
        (core, "service_account", client.V1ServiceAccount(**named)),
        (core, "service", client.V1Service(spec=service, **named)),
        (core, "pod", client.V1Pod(spec=waiting, **named)),
        (apps, "deployment", deployment("k", replicas=0)),
        (apps, "replica_set", client.V1ReplicaSet(spec=replica_set, **named)),
        (coordination, "lease", client.V1Lease(spec=client.V1LeaseSpec(holder_identity="me"), **named)),
    ]
    for api, kind, body in kinds:
        getattr(api, f"create_namespaced_{kind}")(NAMESPACE, body)
        found = getattr(api, f"read_namespaced_{kind}")("k", NAMESPACE)
        found.metadata.labels = {"replaced": "yes"}
        # Controllers may write to some kinds meanwhile; leases must say what they replace.
        found.metadata.resource_version = found.metadata.resource_version if kind == "lease" else None
        getattr(api, f"replace_namespaced_{kind}")("k", NAMESPACE, found)
        selected = getattr(api, f"list_namespaced_{kind}")(NAMESPACE, label_selector="replaced=yes")
        assert "k" in names(selected.items), kind
        assert "k" in names(getattr(api, f"list_{kind}_for_all_namespaces")().items), kind
        getattr(api, f"delete_namespaced_{kind}")("k", NAMESPACE, grace_period_seconds=0)
        getattr(api, f"delete_collection_namespaced_{kind}")(NAMESPACE, label_selector="replaced=yes")
    scheduling.create_priority_class(client.V1PriorityClass(metadata=meta("k"), value=5))
    assert scheduling.read_priority_class("k").value == 5
    scheduling.delete_priority_class("k")


def check_patches_of_all_types():
    config_map("patched", {"a": "1"})
    patch = lambda body, **options: core.patch_namespaced_config_map("patched", NAMESPACE, body, **options).data
    assert patch({"data": {"b": "2"}}) == {"a": "1", "b": "2"}
    assert patch([{"op": "remove", "path": "/data/b"}]) == {"a": "1"}
    merge = {"_content_type": "application/merge-patch+json"}
    assert patch({"data": {"a": None, "c": "3"}}, **merge) == {"c": "3"}
    strategic = {"_content_type": "application/strategic-merge-patch+json"}
    assert patch({"data": {"$patch": "replace", "d": "4"}}, **strategic) == {"d": "4"}
    status = refused(501, None, patch, {}, _content_type="application/apply-patch+yaml", field_manager="me")
    assert status["message"] == "server-side apply is not supported by this server"


def check_pages_and_selectors():
    for i in range(5):
        config_map(f"page-{i}", labels={"page": str(i)})
    found, token = [], None
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="page", limit=2, _continue=token)
        found += names(page.items)
        token = page.metadata._continue
        if not token:
            break
    assert found == [f"page-{i}" for i in range(5)]
    selects = lambda **by: names(core.list_namespaced_config_map(NAMESPACE, **by).items)
    assert selects(label_selector="page in (1,2),page!=2") == ["page-1"]
    assert selects(label_selector="page>3") == ["page-4"]
    assert selects(field_selector="metadata.name=page-0") == ["page-0"]
    refused(400, "BadRequest", core.list_namespaced_config_map, NAMESPACE, label_selector="-bad")
    refused(400, "BadRequest", core.list_namespaced_config_map, NAMESPACE, _continue="garbage")


def check_failures_tell_why():
    config_map("taken")
    status = refused(409, "AlreadyExists", config_map, "taken")
    assert status["details"] == {"name": "taken", "kind": "configmaps"}
    refused(404, "NotFound", core.read_namespaced_config_map, "none", NAMESPACE)
    refused(404, "NotFound", core.create_namespaced_config_map, "none", client.V1ConfigMap(metadata=meta("a")))
    stale = core.read_namespaced_config_map("taken", NAMESPACE)
    core.patch_namespaced_config_map("taken", NAMESPACE, {"data": {"a": "b"}})
    refused(409, "Conflict", core.replace_namespaced_config_map, "taken", NAMESPACE, stale)
    wrong = deployment("wrong")
    wrong.spec.template.metadata.labels = {"app": "other"}
    wrong.spec.template.spec.containers[0].name = "Main"
    causes = refused(422, "Invalid", apps.create_namespaced_deployment, NAMESPACE, wrong)["details"]["causes"]
    fields = ["spec.template.metadata.labels", "spec.template.spec.containers[0].name"]
    assert [cause["field"] for cause in causes] == fields, causes


def check_options():
    config_map("kept")
    dry = core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta("dry")), dry_run="All")
    assert dry.metadata.uid and not dry.metadata.resource_version
    refused(404, "NotFound", core.read_namespaced_config_map, "dry", NAMESPACE)
    delete = lambda **options: core.delete_namespaced_config_map("kept", NAMESPACE, **options)
    delete(dry_run="All")
    wrong = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="wrong"))
    refused(409, "Conflict", delete, body=wrong)
    refused(422, "Invalid", delete, propagation_policy="Sideways")
    never = client.V1ConfigMap(metadata=meta("never"))
    refused(422, "Invalid", core.create_namespaced_config_map, NAMESPACE, never, field_validation="Sometimes")
    delete(body=client.V1DeleteOptions(propagation_policy="Background"))
    refused(404, "NotFound", core.read_namespaced_config_map, "kept", NAMESPACE)


def check_watches():
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    config_map("watched", labels={"watched": "yes"})
    core.patch_namespaced_config_map("watched", NAMESPACE, {"metadata": {"labels": {"watched": None}}})
    core.delete_namespaced_config_map("watched", NAMESPACE)
    seen = lambda **options: [
        (event["type"], event["object"].metadata.name)
        for event in watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=start, timeout_seconds=1, **options
        )
    ]
    expected = [("ADDED", "watched"), ("MODIFIED", "watched"), ("DELETED", "watched")]
    assert seen(allow_watch_bookmarks=True) == expected
    assert seen(label_selector="watched") == [expected[0], expected[2]]
    # A version of an object is a place to watch from, whatever kind was asked for before.
    made = scheduling.create_priority_class(client.V1PriorityClass(metadata=meta("watched"), value=1))
    stream = watch.Watch().stream(
        scheduling.list_priority_class, resource_version=str(int(made.metadata.resource_version) - 1), timeout_seconds=1
    )
    assert [event["object"].metadata.name for event in stream] == ["watched"]
    scheduling.delete_priority_class("watched")


def check_pods_are_bound_and_evicted():
    for name, bind in [
        ("bound", lambda body: core.create_namespaced_pod_binding("bound", NAMESPACE, body, _preload_content=False)),
        ("bound-too", lambda body: core.create_namespaced_binding(NAMESPACE, body, _preload_content=False)),
    ]:
        spec = pod_template(name).spec
        spec.scheduler_name = "python"
        core.create_namespaced_pod(NAMESPACE, client.V1Pod(metadata=meta(name), spec=spec))
        node = core.list_node().items[0].metadata.name
        binding = client.V1Binding(metadata=meta(name), target=client.V1ObjectReference(kind="Node", name=node))
        assert bind(binding).status == 201
        pod = core.read_namespaced_pod_status(name, NAMESPACE)
        assert pod.spec.node_name == node
        bound_on = f"spec.nodeName={node},metadata.name={name}"
        assert names(core.list_namespaced_pod(NAMESPACE, field_selector=bound_on).items) == [name]
        core.create_namespaced_pod_eviction(name, NAMESPACE, client.V1Eviction(metadata=meta(name)))


def check_scale_and_status():
    apps.create_namespaced_deployment(NAMESPACE, deployment("scaled"))
    scaled = apps.patch_namespaced_deployment_scale("scaled", NAMESPACE, {"spec": {"replicas": 3}})
    assert scaled.spec.replicas == 3
    scaled = apps.patch_namespaced_deployment_scale(
        "scaled", NAMESPACE, [{"op": "replace", "path": "/spec/replicas", "value": 2}]
    )
    assert scaled.spec.replicas == 2
    stream = watch.Watch()
    for event in stream.stream(
        apps.list_namespaced_deployment, NAMESPACE, field_selector="metadata.name=scaled", timeout_seconds=60
    ):
        if event["object"].status.available_replicas == 2:
            stream.stop()
    assert apps.read_namespaced_deployment_status("scaled", NAMESPACE).status.available_replicas == 2
    image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}}}}
    assert apps.patch_namespaced_deployment("scaled", NAMESPACE, image).metadata.generation == 4
    apps.delete_namespaced_deployment("scaled", NAMESPACE, propagation_policy="Foreground")


def check_events_of_both_groups():
    about = client.V1ObjectReference(kind="ConfigMap", name="x", namespace=NAMESPACE)
    event = client.CoreV1Event(metadata=meta("e"), involved_object=about, reason="Tried", message="m", type="Normal")
    core.create_namespaced_event(NAMESPACE, event)
    found = core.list_namespaced_event(NAMESPACE, field_selector="involvedObject.name=x,reason=Tried").items
    assert names(found) == ["e"]
    events.delete_namespaced_event("e", NAMESPACE)


def check_the_dynamic_client():
    maps = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    maps.create(body={"metadata": {"name": "dynamic"}, "data": {"a": "1"}}, namespace=NAMESPACE)
    body = {"metadata": {"name": "dynamic"}, "data": {"b": "2"}}
    patched = maps.patch(body=body, namespace=NAMESPACE, content_type="application/merge-patch+json")
    assert patched.data.to_dict() == {"a": "1", "b": "2"}
    seen = next(iter(maps.watch(namespace=NAMESPACE, name="dynamic", timeout=5)))
    assert (seen["type"], seen["object"].metadata.name) == ("ADDED", "dynamic")
    maps.delete(name="dynamic", namespace=NAMESPACE)
    try:
        maps.get(name="dynamic", namespace=NAMESPACE)
    except dynamic.exceptions.NotFoundError as error:
        assert error.summary() == 'configmaps "dynamic" not found'
    else:
        raise AssertionError("it is still there")


def check_manifests():
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-yaml"}},
        client.ApiClient().sanitize_for_serialization(deployment("from-yaml", replicas=0))
        | {"apiVersion": "apps/v1", "kind": "Deployment"},
    ]
    utils.create_from_yaml(client.ApiClient(), yaml_objects=objects, namespace=NAMESPACE)
    try:
        utils.create_from_yaml(client.ApiClient(), yaml_objects=objects, namespace=NAMESPACE)
    except utils.FailToCreateError as error:
        assert [failure.status for failure in error.api_exceptions] == [409, 409]
    else:
        raise AssertionError("both exist already")


def check_containers_are_entered():
    spec = client.V1PodSpec(containers=[client.V1Container(name="main", image="web")])
    core.create_namespaced_pod(NAMESPACE, client.V1Pod(metadata=meta("entered"), spec=spec))
    seen = watch.Watch()
    chosen = {"field_selector": "metadata.name=entered", "timeout_seconds": 20}
    for event in seen.stream(core.list_namespaced_pod, NAMESPACE, **chosen):
        if event["object"].status.phase == "Running":
            seen.stop()
    assert core.read_namespaced_pod_log("entered", NAMESPACE) == "one\ntwo\n"
    assert core.read_namespaced_pod_log("entered", NAMESPACE, tail_lines=1) == "two\n"

    def run(*command, **options):
        call = core.connect_get_namespaced_pod_exec
        return stream(call, "entered", NAMESPACE, command=list(command), stdout=True, stderr=True, **options)

    assert run("echo", "a", "b") == "a b\n"
    process = run("cat", stdin=True, _preload_content=False)
    process.write_stdin("hi\n")
    assert process.readline_stdout(timeout=10) == "hi"
    process.close()
    process = run("false", _preload_content=False)
    process.run_forever(timeout=10)
    assert process.returncode == 1
    forward = portforward(core.connect_get_namespaced_pod_portforward, "entered", NAMESPACE, ports="80")
    socket = forward.socket(80)
    socket.sendall(b"ping")
    assert socket.recv(4) == b"ping"
    socket.close()
    assert forward.error(80) is None


def check_leader_election():
    leads, ended = threading.Event(), threading.Event()
    lock = LeaseLock("leader", NAMESPACE, "me")
    election = electionconfig.Config(
        lock,
        lease_duration=3,
        renew_deadline=2,
        retry_period=1,
        onstarted_leading=leads.set,
        onstopped_leading=ended.set,
    )
    threading.Thread(target=leaderelection.LeaderElection(election).run, daemon=True).start()
    assert leads.wait(20)
    assert coordination.read_namespaced_lease("leader", NAMESPACE).spec.holder_identity == "me"


core.create_namespace(client.V1Namespace(metadata=meta(NAMESPACE)))
for name, check in list(globals().items()):
    if name.startswith("check_"):
        print(name, flush=True)
        check()
core.delete_namespace(NAMESPACE)
# The leader's thread cannot be told to stop, and an interpreter that ends in the ordinary way while it prints is aborted.
sys.stdout.flush()
os._exit(0)
