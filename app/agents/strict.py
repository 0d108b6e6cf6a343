"""A server of tools that is strict about their arguments."""

import json
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.types import CallToolResult, InputRequiredResult, TextContent, Tool
from pydantic import ValidationError

from app.agents.errors import AgentError


class StrictServer(MCPServer[Any]):
    """Refuses arguments that a tool does not have, and tells of wrong ones as of other errors.

    Left alone, a misspelt argument would be passed over, and its default be taken for it.
    """

    async def list_tools(self) -> list[Tool]:
        """The tools, whose schemas say so."""
        return [
            tool.model_copy(
                update={"input_schema": {**tool.input_schema, "additionalProperties": False}}
            )
            for tool in await super().list_tools()
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """What the tool answers."""
        taken = {tool.name: tool.input_schema["properties"] for tool in await super().list_tools()}
        others = arguments.keys() - taken.get(name, arguments)
        if others:
            return failure(
                _invalid(
                    f"{name} has no argument {', '.join(sorted(others))}; "
                    f"it has {', '.join(taken[name])}."
                )
            )
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError:
            raise
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            wrong = [
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
                for each in error.__cause__.errors()
            ]
            return failure(_invalid("; ".join(wrong) + "."))


def failure(error: AgentError) -> CallToolResult:
    """The answer that tells of ``error``."""
    content = error.told()
    text = TextContent(type="text", text=json.dumps(content, ensure_ascii=False))
    return CallToolResult(content=[text], structured_content=content, is_error=True)


def _invalid(message: str) -> AgentError:
    what_to_do = "Correct the arguments as the message says, then call again."
    return AgentError("invalid_parameter", message, what_to_do)
