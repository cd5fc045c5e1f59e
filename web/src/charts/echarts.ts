// Receives nothing; gives ECharts with the few parts that the page draws with. Import it lazily: it is most of the
// weight of the charts.

import { BarChart, PieChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendPlainComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, PieChart, GridComponent, TooltipComponent, LegendPlainComponent, AriaComponent, CanvasRenderer]);

export type { EChartsType } from "echarts/core";
export { init };
