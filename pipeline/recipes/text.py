"""A recipe as a person reads it: stages, steps, thresholds, one to a line, so that two can be compared by line."""

from pipeline.recipes.recipe import Combine, Dedup, Extract, Gate, Judge, Label, Pool, Recipe, RecipeRule, Rewrite, Step


def recipe_text(recipe: Recipe) -> str:
    lines = [f"{recipe.name}: {recipe.about}"]
    for stage in recipe.stages:
        options = ", ".join(f"{key}={value}" for key, value in sorted(stage.options.items()))
        lines.append(f"{stage.verb} ({stage.name})" + (f": {options}" if options else ""))
        for step in stage.steps:
            lines += [f"  {line}" for line in step_lines(step)]
    return "\n".join(lines)


def step_lines(step: Step) -> list[str]:
    match step:
        case Gate():
            lists = f" with {step.lists}" if step.lists else ""
            return [f"gate {step.name}{lists}", *(f"  {rule_line(rule)}" for rule in step.rules)]
        case Judge():
            whom = f" ({', '.join(step.languages)})" if step.languages else ""
            return [f"judge {step.name}{whom}", *(f"  {rule_line(rule)}" for rule in step.rules)]
        case Extract():
            return [f"extract with {step.engine} {dict(sorted(step.options.items())) or ''}".rstrip()]
        case Label():
            keep = f", keeps {', '.join(step.keep)}" if step.keep else ""
            return [f"label {step.what} with {step.model}{keep}"]
        case Rewrite():
            return [f"rewrite {step.edit}"]
        case Combine():
            whom = f" ({', '.join(step.languages)})" if step.languages else ""
            terms = [f"  {term.signal} at {list(term.at)} adds {list(term.add)}" for term in step.terms]
            how = ", if that is larger" if step.larger else ""
            return [f"combine {step.signal}{whom} from {step.intercept:g}{how}", *terms]
        case Pool():
            return [f"pool {step.method} {dict(sorted(step.options.items())) or ''}".rstrip()]
        case Dedup():
            return [f"dedup {step.method} {dict(sorted(step.options.items())) or ''}".rstrip()]


def rule_line(rule: RecipeRule) -> str:
    sign = "at least" if rule.rule.bound == "min" else "at most"
    whom = f" ({', '.join(rule.languages)})" if rule.languages else ""
    source = f"    # {rule.rule.source}" if rule.rule.source else ""
    return f"{rule.rule.signal} {sign} {rule.rule.threshold:g}{whom}{source}"
