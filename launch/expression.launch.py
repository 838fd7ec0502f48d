"""ros2 launch aue_crl expression.launch.py image_topic:=/camera/image_raw"""

import difflib

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

ARGUMENTS = {
    "image_topic": ("image", "Topic of the camera's images; compressed: the topic before '/compressed'."),
    "image_transport": ("", "raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage)."),
    "params_file": ("", "YAML file of parameters; see config/expression.yaml."),
    "namespace": ("", "Namespace of the node."),
    "use_sim_time": ("false", "Take the time from /clock."),
    "autostart": ("true", "Configure and activate at once."),
    "device": ("", "cpu, cuda or cuda:N."),
    "weights": ("", "A shipped name, or a path of weights."),
    "hri": ("", "true: publish the ROS4HRI (REP-155) topics."),
    "view": ("", "true: serve the live view to this machine's browsers, at http://127.0.0.1:8765/."),
    "log_level": ("info", "debug, info, warn or error."),
}
CHOICES = {"log_level": ["debug", "info", "warn", "error"]}
# Given on the command line, these go before the file of parameters; left empty, the file's (or the default) holds.
SWITCHES = ("hri", "view")
OVERRIDES = ("image_transport", "device", "weights", *SWITCHES)


def is_true(value: str) -> bool:
    return value.lower() in ("true", "1", "yes")


def warn_of_unknown(context: LaunchContext) -> None:
    """Name the arguments that were given and do not exist; a launch file that includes this one hands on its own."""
    unknown = sorted(set(context.launch_configurations) - set(ARGUMENTS))
    close = {name: difflib.get_close_matches(name, ARGUMENTS, 1) for name in unknown}
    told = [f"{name} (did you mean {close[name][0]}?)" if close[name] else name for name in unknown]
    if told:
        get_logger("expression.launch.py").warning(f"no argument is called {', '.join(told)}")


def make_node(context: LaunchContext) -> list[Action]:
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters: list = [values["params_file"]] if values["params_file"] else []
    overrides: dict = {name: values[name] for name in OVERRIDES if values[name]}
    overrides |= {name: is_true(overrides[name]) for name in SWITCHES if name in overrides}
    parameters.append({"use_sim_time": is_true(values["use_sim_time"]), **overrides})
    node = LifecycleNode(
        package="aue_crl",
        executable="expression_node",
        name="aue_crl",
        namespace=values["namespace"],
        parameters=parameters,
        remappings=[("image", values["image_topic"])],
        arguments=["--ros-args", "--log-level", f"aue_crl:={values['log_level']}"],
        output="screen",
    )

    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

    autostart = IfCondition(LaunchConfiguration("autostart"))
    # The state before matters: reached from 'deactivating', inactive is where the user wants the node to be.
    activate = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state="configuring",
            goal_state="inactive",
            entities=[change(Transition.TRANSITION_ACTIVATE)],
        ),
        condition=autostart,
    )
    configure = EmitEvent(
        event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=Transition.TRANSITION_CONFIGURE),
        condition=autostart,
    )
    return [activate, node, configure]


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=CHOICES.get(name))
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=warn_of_unknown), OpaqueFunction(function=make_node)])
